//! Making the assembled root the root, and mounting in it what the user asked for.

use std::os::fd::AsFd as _;

use nix::errno::Errno;
use nix::unistd::{chdir, chroot, pivot_root};

use super::place;
use super::plan::{Access, BindMount, PlaceKind};
use crate::isolation::step::{SetupFailure, SetupStep};
use crate::sys::mount;

/// Makes the working directory, a mount point, the root of this process, and detaches the host's
/// file systems.
///
/// The host's root is mounted on top of the new root and detached from there, so the new root
/// needs no directory for the old one (`pivot_root(2)`, notes on `pivot_root(".", ".")`).
pub fn change_root() -> nix::Result<()> {
    match pivot_root(c".", c".") {
        Ok(()) => mount::detach(c".")?,
        // The host runs from its initramfs, the one file system that cannot be pivoted away.
        Err(Errno::EINVAL) => {
            mount::move_to(c".", c"/")?;
            chroot(c".")?;
        }
        Err(errno) => return Err(errno),
    }
    chdir(c"/")
}

/// Mounts what the user asked for. [`change_root`] comes before, so that symbolic links in the
/// layers lead to nothing of the host's.
pub fn mount_binds(binds: &mut [BindMount<'_>]) -> Result<(), SetupFailure> {
    for (index, bind) in binds.iter_mut().enumerate() {
        for parent in bind.parents {
            place::make(parent, PlaceKind::Directory)
                .map_err(SetupFailure::at_item(SetupStep::BindTarget, index))?;
        }
        place::make(bind.target, bind.kind)
            .map_err(SetupFailure::at_item(SetupStep::BindTarget, index))?;
        mount_bind(bind).map_err(SetupFailure::at_item(SetupStep::Bind, index))?;
    }
    Ok(())
}

fn mount_bind(bind: &mut BindMount<'_>) -> nix::Result<()> {
    let mount = bind.source.take()?;
    match bind.access {
        Access::ReadWrite => {}
        Access::ReadOnly => mount::make_read_only(mount.as_fd())?,
    }
    mount::attach(mount.as_fd(), bind.target)
}
