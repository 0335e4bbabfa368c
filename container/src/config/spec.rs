//! A container as the user describes it.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;

use bytesize::ByteSize;

use super::bind::Bind;
use super::signals::ProgramSignals;
use crate::cgroup::{Cpus, IoRate};
use crate::mechanism::Mechanisms;
use crate::network::Network;
use crate::user::User;

/// How the layers may become one root file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RootPolicy {
    /// By overlayfs, or, where the kernel refuses overlayfs, by binds.
    #[default]
    Auto,
    /// By overlayfs alone.
    Overlay,
    /// By binding the layers' top-level entries into a tmpfs.
    Binds,
}

/// A container as the user describes it. Nothing of the description is checked.
#[derive(Debug, Clone, Default)]
pub struct Spec {
    /// Directories that make up the root, lowest first. The container only reads them.
    pub layers: Vec<PathBuf>,
    /// A directory on a disk for what the program writes; without one that goes to a tmpfs.
    pub scratch: Option<PathBuf>,
    /// Further directories and files of the host that appear inside.
    pub binds: Vec<Bind>,
    /// Cgroup directories to create, join and remove: one under cgroups v2, one a hierarchy under
    /// v1.
    pub cgroups: Vec<PathBuf>,
    /// The limit on memory. It needs a cgroup.
    pub memory: Option<ByteSize>,
    /// The limit on processes and threads, of which PID 1 is one. It needs a cgroup.
    pub pids: Option<NonZeroU32>,
    /// The limit on processor time. It needs a cgroup.
    pub cpus: Option<Cpus>,
    /// Limits on reading from devices. They need a cgroup.
    pub io_read: Vec<IoRate>,
    /// Limits on writing to devices. They need a cgroup.
    pub io_write: Vec<IoRate>,
    /// Whether [`Exited`](crate::Exited) tells what the cgroups have counted.
    pub usage: bool,
    /// The host name; `isobench` without one.
    pub hostname: Option<OsString>,
    /// The whole environment of the program, as `KEY=VALUE`.
    pub environment: Vec<OsString>,
    /// The directory in which the program starts; `/` without one.
    pub working_directory: Option<PathBuf>,
    /// The user that the program runs as; user 0 without one.
    pub user: Option<User>,
    /// How many descriptors from 3 on stay open in the program. They must be open when the container
    /// is launched. An open directory is a way out of the container.
    pub preserved: u16,
    /// Whether the program can make pseudo-terminals, and finds the launcher's own terminal, if there
    /// is one, as `/dev/console`.
    pub terminals: bool,
    /// Whether the program sees its own cgroups, read-only, at `/sys/fs/cgroup`.
    pub shows_cgroups: bool,
    /// What the program starts with of signals.
    pub signals: ProgramSignals,
    /// The network of the container.
    pub network: Network,
    /// How the layers may become one root file system.
    pub root: RootPolicy,
    /// The mechanisms that isolate the program. The default is all; with fewer the result is no
    /// container.
    pub mechanisms: Mechanisms,
    /// The program's path in the container; without
    /// [`Mechanism::Pivot`](crate::Mechanism::Pivot), the path on the host.
    pub program: PathBuf,
    /// The program's own name, its argument 0; the program's path without one.
    pub name: Option<OsString>,
    /// The program's arguments, without its name.
    pub arguments: Vec<OsString>,
}
