//! The root that the program sees: the root of `/init` itself, or a directory in it with the files
//! of an image.
//!
//! A directory becomes the root as in `switch_root(8)`: it is bound to itself and moved over the
//! old root. So `/` is a mount like any other, and `/init` and its orders are out of sight.

use std::ffi::CStr;
use std::io;
use std::os::unix::fs::symlink;

use nix::mount::{MsFlags, mount};
use nix::sys::stat::Mode;
use nix::unistd::{chdir, chroot, mkdir};

use super::{InitError, SHARED};

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

/// The file system of pseudo-terminals, and its directory. `/dev/ptmx` is one of devtmpfs's files.
const TERMINALS: (&str, &str) = ("devpts", "/dev/pts");

/// Makes `root` the root, if one is given, and mounts what programs expect. Pseudo-terminals can be
/// made only with `terminals`.
pub(super) fn set_up(root: Option<&CStr>, terminals: bool) -> Result<(), InitError> {
    set_up_files(root)?;
    if terminals {
        mount_terminals()?;
    }
    Ok(())
}

fn set_up_files(root: Option<&CStr>) -> Result<(), InitError> {
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

/// Mounts devpts, unless the kernel has none.
fn mount_terminals() -> Result<(), InitError> {
    let (kind, place) = TERMINALS;
    match mkdir(place, Mode::from_bits_truncate(0o755)) {
        Ok(()) | Err(nix::Error::EEXIST) => {}
        Err(error) => return Err(InitError::Mount(place, error)),
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    let options = "ptmxmode=0666,mode=0620,gid=5";
    match mount(Some(kind), place, Some(kind), flags, Some(options)) {
        Ok(()) | Err(nix::Error::ENODEV) => Ok(()),
        Err(error) => Err(InitError::Mount(place, error)),
    }
}

/// Mounts the directory that the host shares.
pub(super) fn mount_shared() -> Result<(), InitError> {
    match mkdir(SHARED, Mode::from_bits_truncate(0o755)) {
        Ok(()) | Err(nix::Error::EEXIST) => {}
        Err(error) => return Err(InitError::Mount(SHARED, error)),
    }
    let none = None::<&str>;
    mount(none, SHARED, Some("hostfs"), MsFlags::empty(), none)
        .map_err(|error| InitError::Mount(SHARED, error))
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
