//! Terminals in /dev: a devpts of the container's own, and the launcher's terminal.
//!
//! The program's streams may lead to a terminal of the host's devpts, which isn't in the container.
//! So that the terminal has a name there (ttyname(3)), it is bound to `/dev/console`, as bubblewrap
//! does. The program stays in the launcher's session, and the terminal's keys reach it directly.

use std::ffi::CStr;

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::Mode;
use nix::unistd::{mkdir, symlinkat};
use rustix::mount::MountFlags;

use super::place::{self, bind_file};
use super::plan::{Access, PlaceKind, TerminalsPlan};
use crate::sys::mount;

/// Where the launcher's terminal is bound, in the base and in the mounted root.
const CONSOLE: (&CStr, &CStr) = (c"u/dev/console", c"dev/console");

/// Prepares in the base what [`mount_all`] mounts on, and the link that makes pseudo-terminals.
pub fn prepare(plan: &TerminalsPlan) -> nix::Result<()> {
    mkdir(c"u/dev/pts", Mode::from_bits_truncate(0o755))?;
    symlinkat(c"pts/ptmx", AT_FDCWD, c"u/dev/ptmx")?;
    if plan.own.is_some() {
        place::make(CONSOLE.0, PlaceKind::File)?;
    }
    Ok(())
}

/// Mounts devpts and binds the launcher's terminal, in the root that is the working directory.
pub fn mount_all(plan: &TerminalsPlan, access: Access) -> nix::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount::new_at(c"devpts", c"dev/pts", flags, Some(&plan.options))?;
    match &plan.own {
        Some(terminal) => bind_file(terminal, CONSOLE.1, access),
        None => Ok(()),
    }
}
