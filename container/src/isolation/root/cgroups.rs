//! The container's own cgroups at /sys/fs/cgroup, read-only: a program may look there for its
//! limits, as run-time systems do that size themselves.
//!
//! A mount shows the groups of the cgroup namespace that it is made in, and nothing above them. So
//! it is made once the first process is in its cgroups and in that namespace. The hierarchies of v1
//! are shown too: neither a write nor `release_agent`, which only the real root of a hierarchy has,
//! gets through a read-only mount in a namespace, and the program can mount nothing itself.

use std::ffi::CStr;

use nix::sys::stat::Mode;
use nix::unistd::mkdir;
use rustix::mount::MountFlags;

use super::place;
use super::plan::{CgroupView, PlaceKind};
use crate::sys::mount;

/// The directories to make in the base.
const DIRECTORIES: [&CStr; 3] = [c"u/sys", c"u/sys/fs", c"u/sys/fs/cgroup"];

/// Prepares in the base what [`mount_all`] mounts on.
pub fn prepare(views: &[CgroupView]) -> nix::Result<()> {
    if views.is_empty() {
        return Ok(());
    }
    for directory in DIRECTORIES {
        mkdir(directory, Mode::from_bits_truncate(0o755))?;
    }
    views
        .iter()
        .try_for_each(|view| place::make(&view.prepared, PlaceKind::Directory))
}

/// Mounts the hierarchies in the root of this process.
pub fn mount_all(views: &[CgroupView]) -> nix::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    views.iter().try_for_each(|view| {
        mount::new_at(view.kind, &view.place, flags, view.options.as_deref())?;
        // The file system itself is the host's, which stays writable.
        mount::make_read_only_at(&view.place)
    })
}
