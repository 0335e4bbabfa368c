//! The mount calls of Linux 5.2 and 5.12 (`fsopen`, `fsmount`, `open_tree`, `move_mount`, `mount_setattr`).

#![expect(
    unsafe_code,
    reason = "nix has no wrapper of the mount calls that work on descriptors"
)]

use std::ffi::{CStr, c_int};
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::ptr;

use super::checked;

fn owned(result: libc::c_long) -> nix::Result<OwnedFd> {
    let descriptor = c_int::try_from(checked(result)?).map_err(|_| nix::errno::Errno::EBADF)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// A file system of type `kind` with string `options`, mounted nowhere yet.
pub fn new_file_system(
    kind: &CStr,
    options: &[(&CStr, &CStr)],
    attributes: u64,
) -> nix::Result<OwnedFd> {
    // SAFETY: a null-terminated string and a flag.
    let context =
        owned(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), libc::FSOPEN_CLOEXEC) })?;
    for (key, value) in options {
        // SAFETY: null-terminated strings; `aux` is 0 for strings.
        checked(unsafe {
            libc::syscall(
                libc::SYS_fsconfig,
                context.as_raw_fd(),
                libc::FSCONFIG_SET_STRING,
                key.as_ptr(),
                value.as_ptr(),
                0,
            )
        })?;
    }
    // SAFETY: CREATE takes no key and no value.
    checked(unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            libc::FSCONFIG_CMD_CREATE,
            ptr::null::<u8>(),
            ptr::null::<u8>(),
            0,
        )
    })?;
    // SAFETY: a descriptor and flags.
    owned(unsafe {
        libc::syscall(
            libc::SYS_fsmount,
            context.as_raw_fd(),
            libc::FSMOUNT_CLOEXEC,
            attributes,
        )
    })
}

/// A copy of the mount at `path`, mounted nowhere yet; with everything mounted below it if `recursive`.
pub fn clone_mount(path: &CStr, recursive: bool) -> nix::Result<OwnedFd> {
    let mut flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= libc::AT_RECURSIVE.unsigned_abs();
    }
    // SAFETY: a null-terminated string and flags.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })
}

/// Mounts what `mount` holds on `target`, which is never followed if it is a symbolic link.
pub fn attach(mount: impl AsFd, target: &CStr) -> nix::Result<()> {
    // SAFETY: descriptors, null-terminated strings, flags.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            target.as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    checked(result).map(drop)
}

/// Makes the mount that `mount` holds, and all below it, read-only.
pub fn make_read_only(mount: impl AsFd) -> nix::Result<()> {
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    set_read_only(mount.as_fd().as_raw_fd(), c"", flags)
}

/// Makes the mount at `path` read-only.
pub fn make_read_only_at(path: &CStr) -> nix::Result<()> {
    set_read_only(libc::AT_FDCWD, path, 0)
}

fn set_read_only(directory: c_int, path: &CStr, flags: c_int) -> nix::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: a null-terminated path; the structure is ours and of the size named.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            directory,
            path.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    checked(result).map(drop)
}
