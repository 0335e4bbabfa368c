//! Making the files and directories on which something is mounted.

use std::ffi::CStr;

use nix::errno::Errno;
use nix::sys::stat::{Mode, SFlag, mknod};
use nix::unistd::mkdir;

use super::plan::{Access, PlaceKind};
use crate::sys::mount;

/// Makes an empty directory or file, unless something of that name exists.
pub fn make(path: &CStr, kind: PlaceKind) -> nix::Result<()> {
    let made = match kind {
        PlaceKind::Directory => mkdir(path, Mode::from_bits_truncate(0o755)),
        // mknod is one system call; open and close are two.
        PlaceKind::File => mknod(path, SFlag::S_IFREG, Mode::from_bits_truncate(0o644), 0),
    };
    match made {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Shows the host's file `from` at `to`, which must exist.
pub fn bind_file(from: &CStr, to: &CStr, access: Access) -> nix::Result<()> {
    mount::bind(from, to)?;
    match access {
        Access::ReadWrite => Ok(()),
        Access::ReadOnly => mount::make_read_only_at(to),
    }
}
