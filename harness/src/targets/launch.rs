//! The description of one instance to be started: its program, and all that the program gets.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use isobench_container::{Mechanisms, Network};

use super::resource_limits::ResourceLimits;

/// The program of one instance, and all that the program gets.
#[derive(Debug, Clone)]
pub struct Launch<'a> {
    /// The program's path on the host, or inside the image if the target was prepared with an
    /// image.
    pub program: &'a Path,
    /// The program's own name, its argument 0; `None` for its path. A peer without a way to name a
    /// program uses the path.
    pub name: Option<OsString>,
    /// The program's arguments.
    pub arguments: Vec<OsString>,
    /// The program's environment, as `KEY=VALUE`.
    pub environment: Vec<OsString>,
    /// A file on the host that is the program's disk, by a path that options of all runtimes can
    /// hold. Its path inside is [`TargetInfo::disk`].
    ///
    /// [`TargetInfo::disk`]: super::TargetInfo::disk
    pub disk: Option<&'a Path>,
    /// A directory on the host in which the program can make files. Its path inside is
    /// [`TargetInfo::files`].
    ///
    /// [`TargetInfo::files`]: super::TargetInfo::files
    pub files: Option<&'a Path>,
    /// How the program accesses its disk.
    pub access: DiskAccess,
    /// A directory on the host whose files are added to the program's root. Only a target with
    /// [`Capability::StackLayers`](super::Capability::StackLayers) uses the field.
    pub layer: Option<&'a Path>,
    /// A directory on a disk of the host that takes what the program writes to its root. Without
    /// the directory, a target that stacks layers keeps these writes in memory.
    pub scratch: Option<&'a Path>,
    /// The memory that the program may use, if the target can limit memory.
    pub memory: Option<ByteSize>,
    /// The program's network, one of the target's networks; `None` for the target's default.
    pub network: Option<Network>,
    /// Further limits, if the target can enforce them.
    pub resource_limits: ResourceLimits,
    /// The cgroup directories that the launcher makes for its limits, one for each hierarchy. Empty
    /// without cgroups.
    pub cgroups: Vec<PathBuf>,
    /// The numbers of this process's descriptors that stay open in the program, if the target can
    /// pass them on: all of the caller's in a bare process, else some from 3 on.
    pub preserved: Vec<RawFd>,
    /// What the program finds around it.
    pub surroundings: Surroundings,
    /// The mechanisms that isolate the program, if the target can leave some out.
    pub mechanisms: Mechanisms,
    /// Whether the program's standard input stays open. A target that can't pass the real standard
    /// input on needs to know.
    pub keeps_stdin_open: bool,
    /// What the launcher reports.
    pub marks: Marks,
    /// When the program starts, and whether it goes on alone.
    pub beginning: Beginning<'a>,
}

impl<'a> Launch<'a> {
    /// A launch of `program` with `arguments` and nothing else. All mechanisms of the target
    /// isolate the program, and the launcher reports nothing.
    pub fn of(program: &'a Path, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self {
            program,
            name: None,
            arguments: arguments.into_iter().map(Into::into).collect(),
            environment: Vec::new(),
            disk: None,
            files: None,
            access: DiskAccess::Buffered,
            layer: None,
            scratch: None,
            memory: None,
            network: None,
            resource_limits: ResourceLimits::default(),
            cgroups: Vec::new(),
            preserved: Vec::new(),
            surroundings: Surroundings::Least,
            mechanisms: Mechanisms::ALL,
            keeps_stdin_open: false,
            marks: Marks::None,
            beginning: Beginning::AtOnce,
        }
    }
}

/// When a program starts, and whether it goes on alone. All but the first need [`Marks::Phases`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning<'a> {
    /// The program starts at once.
    AtOnce,
    /// The launcher sets all up, and starts the program when the harness says so. Only a target with
    /// [`Capability::HoldBeforeProgram`](super::Capability::HoldBeforeProgram) can do this.
    Held,
    /// The program stops where it first asks for input, and each request makes a clone of it. Only a
    /// target with [`Capability::CloneWhole`](super::Capability::CloneWhole) can do this.
    Template,
    /// The program stops where it first asks for input, and what it has become is written to this
    /// file, which does not exist. Only a target with
    /// [`Capability::KeepSnapshots`](super::Capability::KeepSnapshots) can do this, and the next.
    Snapshot(&'a Path),
    /// The program goes on as this snapshot has kept it.
    Restored(&'a Path),
}

impl Beginning<'_> {
    /// The options of isobench's own launchers.
    pub(super) fn options(self) -> Vec<OsString> {
        match self {
            Self::AtOnce => Vec::new(),
            Self::Held => vec!["--hold".into()],
            Self::Template => vec!["--template".into()],
            Self::Snapshot(file) => vec!["--snapshot".into(), file.into()],
            Self::Restored(file) => vec!["--restore".into(), file.into()],
        }
    }
}

/// What a launcher reports beside the program's own output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    /// The launcher reports nothing.
    None,
    /// The launcher reports the end of each phase.
    Phases,
    /// The launcher reports the end of each phase, and how often its guest left the virtual
    /// machine.
    PhasesAndExits,
}

/// What a program finds around it, if the target can give it that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surroundings {
    /// As little as programs need. So it is where starts are measured.
    Least,
    /// Terminals alone, whose price that is.
    Terminals,
    /// Terminals and its own cgroups, too, as in an engine's container. A program of an image always
    /// finds these.
    Whole,
}

impl Surroundings {
    /// Whether the program can make pseudo-terminals.
    pub fn have_terminals(self) -> bool {
        self != Self::Least
    }
}

/// How a program accesses its disk file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskAccess {
    /// The program's reads and writes go through the page cache.
    Buffered,
    /// The program's reads and writes bypass the page cache of its own kernel. A VMM then has to
    /// bypass the host's page cache as well.
    Direct,
    /// The program only reads, through the page cache. Several instances may read the file at once.
    ReadOnly,
}
