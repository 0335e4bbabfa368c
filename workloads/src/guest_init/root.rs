//! The root that the program sees: the root of `/init` itself, or a directory in it with the files
//! of an image.
//!
//! A directory becomes the root as in `switch_root(8)`: it is bound to itself and moved over the
//! old root. So `/` is a mount like any other, and `/init` and its orders are out of sight.

use std::ffi::CStr;
use std::io;
use std::os::unix::fs::symlink;

use nix::mount::{MsFlags, mount};
use nix::unistd::{chdir, chroot};

use super::InitError;

/// File systems, and the directories where programs expect them.
const FILE_SYSTEMS: [(&str, &str); 4] = [
    ("devtmpfs", "/dev"),
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("tmpfs", "/tmp"),
];
/// Symbolic links in /dev, as in a container: what they say, and their paths.
const LINKS: [(&str, &str); 4] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
];

/// Makes `root` the root, if one is given, and mounts what programs expect.
pub(super) fn set_up(root: Option<&CStr>) -> Result<(), InitError> {
    let Some(root) = root else {
        return mount_all(&FILE_SYSTEMS);
    };
    change(root).map_err(|e| InitError::Setup("changing to the image's root", e))?;
    // An image has a /tmp of its own, or none. All files of the image are in memory anyway.
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

/// Mounts file systems. If the kernel has no proc, sysfs or tmpfs, that one is left out.
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
