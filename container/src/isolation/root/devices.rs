//! /proc, and the devices and links in /dev.

use std::ffi::CStr;

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::Mode;
use nix::unistd::{mkdir, symlinkat};
use rustix::mount::MountFlags;

use super::masks;
use super::place::{self, bind_file};
use super::plan::{Access, PlaceKind};
use crate::isolation::step::{SetupFailure, SetupStep};
use crate::sys::mount;

/// A device of the host's that is bound into /dev.
struct Device {
    /// The path on the host.
    host: &'static CStr,
    /// The path in the base, while the root is prepared.
    prepared: &'static CStr,
    /// The path in the mounted root.
    mounted: &'static CStr,
}

/// Devices that do no harm and that programs expect.
const DEVICES: [Device; 6] = [
    Device {
        host: c"/dev/null",
        prepared: c"u/dev/null",
        mounted: c"dev/null",
    },
    Device {
        host: c"/dev/zero",
        prepared: c"u/dev/zero",
        mounted: c"dev/zero",
    },
    Device {
        host: c"/dev/full",
        prepared: c"u/dev/full",
        mounted: c"dev/full",
    },
    Device {
        host: c"/dev/random",
        prepared: c"u/dev/random",
        mounted: c"dev/random",
    },
    Device {
        host: c"/dev/urandom",
        prepared: c"u/dev/urandom",
        mounted: c"dev/urandom",
    },
    Device {
        host: c"/dev/tty",
        prepared: c"u/dev/tty",
        mounted: c"dev/tty",
    },
];

/// Symbolic links in /dev: what they say, and where in the base they are made.
const LINKS: [(&CStr, &CStr); 4] = [
    (c"/proc/self/fd", c"u/dev/fd"),
    (c"/proc/self/fd/0", c"u/dev/stdin"),
    (c"/proc/self/fd/1", c"u/dev/stdout"),
    (c"/proc/self/fd/2", c"u/dev/stderr"),
];

/// The path on the host of device number `index`, which [`mount_all`] binds.
pub fn host_path(index: usize) -> &'static CStr {
    DEVICES.get(index).map_or(c"/dev", |device| device.host)
}

/// Prepares in the base what [`mount_all`] mounts on, and the links beside it.
pub(super) fn prepare() -> nix::Result<()> {
    let mode = Mode::from_bits_truncate(0o755);
    for directory in [c"u/proc", c"u/dev"] {
        mkdir(directory, mode)?;
    }
    mkdir(c"u/dev/shm", Mode::from_bits_truncate(0o1777))?;
    for device in DEVICES {
        place::make(device.prepared, PlaceKind::File)?;
    }
    for (content, at) in LINKS {
        symlinkat(content, AT_FDCWD, at)?;
    }
    masks::make_empty_directory()
}

/// Mounts /proc and binds the devices, in the root that is the working directory.
///
/// If the container's root is the host's, `access` is read-only: what such a root can write in
/// /proc are the host's own settings. A read-only mount of a device can be used, but the device
/// cannot be given another mode or owner.
pub(super) fn mount_all(access: Access) -> Result<(), SetupFailure> {
    mount_proc(access).map_err(SetupFailure::at(SetupStep::Proc))?;
    masks::cover(access).map_err(SetupFailure::at(SetupStep::Masks))?;
    for (index, device) in DEVICES.into_iter().enumerate() {
        bind_file(device.host, device.mounted, access)
            .map_err(SetupFailure::at_item(SetupStep::Device, index))?;
    }
    Ok(())
}

fn mount_proc(access: Access) -> nix::Result<()> {
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    flags.set(MountFlags::RDONLY, access == Access::ReadOnly);
    mount::new_at(c"proc", c"proc", flags, None)
}
