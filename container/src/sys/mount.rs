//! Mounting: the calls of Linux 5.2 and 5.12 that work on descriptors (`fsopen`, `fsmount`,
//! `open_tree`, `move_mount`, `mount_setattr`), and mount(2) where one such call is enough.
//!
//! rustix takes a `&CStr` as it is, so nothing here allocates.

#![expect(
    unsafe_code,
    reason = "neither nix nor rustix has a wrapper of mount_setattr(2)"
)]

use std::ffi::{CStr, c_int};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags,
};

use super::{checked, errno};

/// How much of a directory tree a copy of a mount has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The mount alone.
    ThisMount,
    /// The mount and everything that is mounted below it.
    WithMountsBelow,
}

/// Makes a tmpfs whose root has `mode` (octal digits), and mounts it nowhere yet. The tmpfs takes
/// `size` (bytes in digits), or the kernel's default.
///
/// # Errors
/// The kernel refuses.
pub fn new_tmpfs(mode: &CStr, size: Option<&CStr>) -> nix::Result<OwnedFd> {
    let make = || {
        let context = rustix::mount::fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_set_string(&context, c"mode", mode)?;
        if let Some(size) = size {
            rustix::mount::fsconfig_set_string(&context, c"size", size)?;
        }
        rustix::mount::fsconfig_create(&context)?;
        rustix::mount::fsmount(
            &context,
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV,
        )
    };
    make().map_err(errno)
}

/// Mounts a new file system of type `kind` at `target`.
///
/// # Errors
/// The kernel refuses.
pub fn new_at(
    kind: &CStr,
    target: &CStr,
    flags: MountFlags,
    options: Option<&CStr>,
) -> nix::Result<()> {
    rustix::mount::mount(kind, target, kind, flags, options).map_err(errno)
}

/// Makes a copy of the mount at `path`, and mounts the copy nowhere yet.
///
/// # Errors
/// The kernel refuses.
pub fn clone_mount(path: &CStr, reach: Reach) -> nix::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    flags.set(OpenTreeFlags::AT_RECURSIVE, reach == Reach::WithMountsBelow);
    rustix::mount::open_tree(CWD, path, flags).map_err(errno)
}

/// Mounts what `mount` holds at `target`. A symbolic link at `target` is not followed.
///
/// # Errors
/// The kernel refuses.
pub fn attach(mount: impl AsFd, target: &CStr) -> nix::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(mount, c"", CWD, target, flags).map_err(errno)
}

/// Shows `from`, with everything that is mounted below it, at `to` as well.
///
/// # Errors
/// The kernel refuses.
pub fn bind(from: &CStr, to: &CStr) -> nix::Result<()> {
    rustix::mount::mount_bind_recursive(from, to).map_err(errno)
}

/// Cuts all mounts of this mount namespace off from those of other namespaces.
///
/// # Errors
/// The kernel refuses.
pub fn make_all_private() -> nix::Result<()> {
    let flags = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
    rustix::mount::mount_change(c"/", flags).map_err(errno)
}

/// Moves the mount at `from` to `to`.
///
/// # Errors
/// The kernel refuses.
pub fn move_to(from: &CStr, to: &CStr) -> nix::Result<()> {
    rustix::mount::mount_move(from, to).map_err(errno)
}

/// Takes the mount at `target`, and everything below it, out of this mount namespace, although
/// files of it may be open.
///
/// # Errors
/// The kernel refuses.
pub fn detach(target: &CStr) -> nix::Result<()> {
    rustix::mount::unmount(target, UnmountFlags::DETACH).map_err(errno)
}

/// Makes the mount that `mount` holds, and everything mounted below it, read-only.
///
/// # Errors
/// The kernel refuses.
pub fn make_read_only(mount: impl AsFd) -> nix::Result<()> {
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    set_read_only(mount.as_fd().as_raw_fd(), c"", flags)
}

/// Makes the mount at `path` read-only.
///
/// # Errors
/// The kernel refuses.
pub fn make_read_only_at(path: &CStr) -> nix::Result<()> {
    set_read_only(libc::AT_FDCWD, path, 0)
}

fn set_read_only(directory: c_int, path: &CStr, flags: c_int) -> Result<(), Errno> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the path ends with a zero byte; the structure lives until the call returns and has
    // the size that the call is told.
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
