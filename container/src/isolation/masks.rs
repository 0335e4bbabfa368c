//! What of /proc is covered: it tells of the host, and no namespace, capability or file mode keeps it from the container.
//!
//! The list is that of the OCI runtimes' default configuration, without what the kernel withholds from user 0 of a user
//! namespace anyway: /proc/kcore, which takes a capability, and `timer_stats`, which is gone. Nor is anything made
//! read-only: what user 0 of the container can write below /proc/sys are settings of its own namespaces. There is no
//! /sys at all. The tests look at each from inside.
//!
//! A mount costs some microseconds, a name that isn't there under one.

use std::ffi::CStr;

use nix::errno::Errno;
use nix::sys::stat::Mode;
use nix::unistd::mkdir;

use crate::isolation::root::{bind, bind_device};
use crate::sys::mount as sys;

/// What covers a directory; in the base, and on the host's /proc until the root is changed.
const EMPTY: [&CStr; 2] = [c"e", c"/proc/e"];

/// Directories: the host's power management, sound cards and disks.
const DIRECTORIES: [&CStr; 3] = [c"proc/acpi", c"proc/asound", c"proc/scsi"];

/// Files: keyrings that the launcher's session may lend, and how the host's processes are scheduled.
const FILES: [&CStr; 3] = [c"proc/keys", c"proc/latency_stats", c"proc/sched_debug"];

/// What only the host's user 0 may read, capabilities or not.
const FILES_OF_ROOT: [&CStr; 1] = [c"proc/timer_list"];

/// Makes in the base what covers directories.
pub fn make_empty_directory() -> nix::Result<()> {
    mkdir(EMPTY[0], Mode::from_bits_truncate(0o555))
}

/// Covers what is to be covered in the `proc` of the working directory.
pub fn cover(is_host_root: bool) -> nix::Result<()> {
    let of_root = if is_host_root {
        &FILES_OF_ROOT[..]
    } else {
        &[]
    };
    for file in FILES.iter().chain(of_root) {
        unless_missing(bind_device(c"/dev/null", file, is_host_root))?;
    }
    for directory in DIRECTORIES {
        let covered = bind(EMPTY[1], directory).and_then(|()| sys::make_read_only_at(directory));
        unless_missing(covered)?;
    }
    Ok(())
}

fn unless_missing(result: nix::Result<()>) -> nix::Result<()> {
    match result {
        Err(Errno::ENOENT) => Ok(()),
        other => other,
    }
}
