//! The root that the program sees: that of `/init` itself, or a directory in it with the files of an image.
//!
//! A directory becomes the root as `switch_root(8)` does it: bound to itself and moved over the old root, so that `/` is a mount
//! like any other, and `/init` and its orders are out of sight.

use std::ffi::CStr;
use std::io;
use std::os::unix::fs::symlink;

use nix::mount::{MsFlags, mount};
use nix::unistd::{chdir, chroot};

use super::InitError;

/// File systems, and where programs expect them.
const FILE_SYSTEMS: [(&str, &str); 4] = [
    ("devtmpfs", "/dev"),
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("tmpfs", "/tmp"),
];
/// Names in /dev for what /proc knows, as in a container.
const LINKS: [(&str, &str); 4] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
];

/// Makes `root` the root, if there is one, and mounts what programs expect.
pub(super) fn set_up(root: Option<&CStr>) -> Result<(), InitError> {
    let Some(root) = root else {
        return mount_all(&FILE_SYSTEMS);
    };
    change(root).map_err(|e| InitError::Setup("changing to the image's root", e))?;
    // An image has a /tmp of its own, or none. It's in memory as all of it is.
    mount_all(&FILE_SYSTEMS[..3])?;
    for (content, place) in LINKS {
        match symlink(content, place) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                let errno = error
                    .raw_os_error()
                    .map_or(nix::Error::EIO, nix::Error::from_raw);
                return Err(InitError::Setup("making links in /dev", errno));
            }
            _ => {}
        }
    }
    Ok(())
}

fn change(root: &CStr) -> nix::Result<()> {
    let none = None::<&str>;
    mount(Some(root), root, none, MsFlags::MS_BIND, none)?;
    chdir(root)?;
    mount(Some("."), "/", none, MsFlags::MS_MOVE, none)?;
    chroot(".")?;
    chdir("/")
}

/// A kernel without proc, sysfs or tmpfs does without.
fn mount_all(file_systems: &[(&'static str, &'static str)]) -> Result<(), InitError> {
    for &(kind, place) in file_systems {
        let flags = MsFlags::empty();
        match mount(Some(kind), place, Some(kind), flags, None::<&str>) {
            Ok(()) => {}
            Err(nix::Error::ENODEV) if kind != "devtmpfs" => {}
            Err(error) => return Err(InitError::Mount(place, error)),
        }
    }
    Ok(())
}
