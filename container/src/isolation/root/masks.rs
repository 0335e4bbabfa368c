//! Covering what in /proc tells of the host and is kept from the container by nothing else: by no
//! namespace, no capability and no file mode.
//!
//! The list is that of the OCI runtimes' default configuration without two entries, which the
//! kernel keeps from user 0 of a user namespace anyway: /proc/kcore, which takes a capability, and
//! `timer_stats`, which no longer exists. Nothing is made read-only: what user 0 of the container
//! can write below /proc/sys are settings of its own namespaces. There is no /sys but for the
//! container's own cgroups, read-only, where they are asked for. The tests look at each file from
//! inside a container.
//!
//! A mount costs some microseconds, a name that does not exist less than one.

use std::ffi::CStr;

use nix::errno::Errno;
use nix::sys::stat::Mode;
use nix::unistd::mkdir;

use super::place::bind_file;
use super::plan::Access;
use crate::sys::mount;

/// The empty directory that covers other directories, in the base.
const EMPTY: &CStr = c"e";
/// The same directory as an absolute path, which is good until the root is changed.
const EMPTY_ON_HOST: &CStr = c"/proc/e";

/// Directories that tell of the host's power management, sound cards and disks.
const DIRECTORIES: [&CStr; 3] = [c"proc/acpi", c"proc/asound", c"proc/scsi"];

/// Files that tell of keyrings, which the launcher's session may lend, and of how the host's
/// processes are scheduled.
const FILES: [&CStr; 3] = [c"proc/keys", c"proc/latency_stats", c"proc/sched_debug"];

/// A file that the host's user 0 may read without any capability, and nobody else.
const FILES_OF_ROOT: [&CStr; 1] = [c"proc/timer_list"];

/// Makes the empty directory in the base.
pub fn make_empty_directory() -> nix::Result<()> {
    mkdir(EMPTY, Mode::from_bits_truncate(0o555))
}

/// Covers files and directories in the `proc` of the working directory. [`Access::ReadOnly`] stands
/// for a container whose root is the host's.
pub fn cover(access: Access) -> nix::Result<()> {
    let of_root = match access {
        Access::ReadWrite => &[],
        Access::ReadOnly => &FILES_OF_ROOT[..],
    };
    for file in FILES.iter().chain(of_root) {
        unless_missing(bind_file(c"/dev/null", file, access))?;
    }
    for directory in DIRECTORIES {
        let covered = mount::bind(EMPTY_ON_HOST, directory)
            .and_then(|()| mount::make_read_only_at(directory));
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
