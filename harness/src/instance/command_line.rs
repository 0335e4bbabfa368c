//! The command line of one instance: a program, its arguments, its environment, and what the instance may leave behind.

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use crate::host::mounts::MountNamespace;

/// The descriptor number that a launcher finds its marks pipe at.
pub const MARKS_DESCRIPTOR: RawFd = 3;

/// The descriptor number that a program finds [`CommandLine::input`] at.
pub const INPUT_DESCRIPTOR: RawFd = 4;

/// A program, its arguments, its whole environment, and what else it is started with.
#[derive(Debug, Clone)]
pub struct CommandLine {
    /// Path of the program; `PATH` is not searched.
    pub program: PathBuf,
    /// Arguments after the program's own name.
    pub arguments: Vec<OsString>,
    /// Environment as `KEY=VALUE`; nothing is inherited.
    pub environment: Vec<OsString>,
    /// A file that it finds open for reading at [`INPUT_DESCRIPTOR`].
    pub input: Option<PathBuf>,
    /// The mount namespace that it runs in, if not the harness's own.
    pub mounts: Option<MountNamespace>,
    /// Whether it starts with `SIGCHLD` blocked: one that comes before it waits for it is then kept.
    pub holds_sigchld: bool,
    /// What it may leave behind beside its processes.
    pub leftovers: Leftovers,
}

impl CommandLine {
    /// The program with no arguments and no environment.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            input: None,
            mounts: None,
            holds_sigchld: false,
            leftovers: Leftovers::default(),
        }
    }

    /// The same command run by `tracer`, which tells where marks go.
    #[must_use]
    pub fn through(mut self, tracer: &Path) -> Self {
        let program = std::mem::replace(&mut self.program, tracer.to_owned());
        let own = [
            "--marks-fd".into(),
            MARKS_DESCRIPTOR.to_string().into(),
            "--".into(),
            program.into(),
        ];
        self.arguments.splice(0..0, own);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, arguments: I) -> Self {
        self.arguments
            .extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }
}

/// What a runtime may leave behind that doesn't go with its processes: a container that the runtime knows of, files, cgroups
/// in hierarchies that isobench has no use for.
#[derive(Debug, Clone, Default)]
pub struct Leftovers {
    /// What ends and deletes the container; it's run after an instance that failed or was killed.
    pub deletion: Option<Box<CommandLine>>,
    /// A directory of this instance's own.
    pub directory: Option<PathBuf>,
    /// cgroups of this instance's own, that may be there.
    pub cgroups: Vec<PathBuf>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandResult {
    /// With exit code 0, in time.
    Success,
    /// With another code, by a signal, or not in time.
    Failure,
}
