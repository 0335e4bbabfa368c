//! The command line of one instance: a program, its arguments, its environment, and what the
//! instance may leave behind.

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use nix::sys::signal::{SigSet, Signal};

use crate::host::mounts::{MountNamespace, MountPoint};
use crate::instance::endings::Endings;

/// The number of the descriptor through which a launcher writes its marks.
pub const MARKS_DESCRIPTOR: RawFd = 3;

/// The least number of the descriptor through which a program reads [`CommandLine::input`].
const INPUT_DESCRIPTOR: RawFd = 4;

/// The number of the descriptor through which a program reads [`CommandLine::input`], beside
/// `preserved` descriptors in order.
pub fn input_descriptor(preserved: &[RawFd]) -> RawFd {
    let after = preserved.last().map_or(0, |last| last.saturating_add(1));
    after.max(INPUT_DESCRIPTOR)
}

/// A program, its arguments, its whole environment, and how the program is started.
#[derive(Debug, Clone)]
pub struct CommandLine {
    /// The program's path. `PATH` is not searched.
    pub program: PathBuf,
    /// The program's own name, its argument 0; `None` for its path.
    pub name: Option<OsString>,
    /// The arguments after the program's own name.
    pub arguments: Vec<OsString>,
    /// The environment as `KEY=VALUE`. Nothing is inherited.
    pub environment: Vec<OsString>,
    /// A file that is open for reading at [`input_descriptor`] when the program starts.
    pub input: Option<PathBuf>,
    /// The numbers of descriptors of this process that stay open in the program, in order.
    pub preserved: Vec<RawFd>,
    /// The mount namespace of the program; `None` for the harness's own.
    pub mounts: Option<MountNamespace>,
    /// The root directory of the program; `None` for the root of its mount namespace.
    pub root: Option<RootDirectory>,
    /// The ids that the program runs with; `None` for the harness's own.
    pub user: Option<HostUser>,
    /// The user of the instance's program, who gets the pipes of the standard streams; `None` for
    /// `user`.
    pub pipes_for: Option<HostUser>,
    /// The signals that the program finds blocked; `None` for those that the starting thread blocks.
    pub signal_mask: Option<SigSet>,
    /// Whether the program starts with `SIGCHLD` blocked. The kernel then keeps a `SIGCHLD` that
    /// comes before the program waits for the signal.
    pub blocks_sigchld: bool,
    /// The signal that the program gets when the harness dies (`PR_SET_PDEATHSIG`).
    pub death_signal: Signal,
    /// Whether the command sets all up and then waits for the harness's word before it starts the
    /// program. The marks' descriptor is a socket then, by which the word comes.
    pub holds: bool,
    /// How the command tells the ending of the instance's program.
    pub endings: Endings,
    /// The command by which a daemon prints the process id of the program. `None` if the program is
    /// below the command's process or in the instance's cgroup.
    pub ask_for_program: Option<Box<CommandLine>>,
    /// What the instance may leave behind beside its processes.
    pub leftovers: Leftovers,
}

impl CommandLine {
    /// The command line of `program` with no arguments and no environment.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            name: None,
            arguments: Vec::new(),
            environment: Vec::new(),
            input: None,
            preserved: Vec::new(),
            mounts: None,
            root: None,
            user: None,
            pipes_for: None,
            signal_mask: None,
            holds: false,
            blocks_sigchld: false,
            death_signal: Signal::SIGKILL,
            endings: Endings::default(),
            ask_for_program: None,
            leftovers: Leftovers::default(),
        }
    }

    /// The same command, run by `tracer` with these further `options`. The tracer writes its counts
    /// to the marks pipe. In a root directory of its own, where the tracer's file isn't, the command
    /// finds the tracer by a descriptor; /proc must be mounted there.
    #[must_use]
    pub fn traced_by(mut self, tracer: &Path, options: &[&str]) -> Self {
        let path = if self.root.is_some() {
            self.input = Some(tracer.to_owned());
            format!("/proc/self/fd/{}", input_descriptor(&self.preserved)).into()
        } else {
            tracer.to_owned()
        };
        let program = std::mem::replace(&mut self.program, path);
        // The tracer runs the program under its path.
        self.name = None;
        let mut own: Vec<OsString> = vec!["--marks-fd".into(), MARKS_DESCRIPTOR.to_string().into()];
        own.extend(options.iter().map(Into::into));
        own.extend(["--".into(), program.into()]);
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

/// A root directory, and where in it a program starts. The program's own path leads through this
/// root as well.
#[derive(Debug, Clone)]
pub struct RootDirectory {
    /// The directory's path in the program's mount namespace.
    pub directory: PathBuf,
    /// The directory in which the program starts, as a path inside the root.
    pub working_directory: PathBuf,
}

/// A user by ids of the host. A program that runs as a user other than root has no capability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostUser {
    /// The user id.
    pub uid: u32,
    /// The id of the primary group.
    pub gid: u32,
    /// The ids of further groups.
    pub groups: Vec<u32>,
}

/// What a runtime may leave behind after its processes have ended: a container in the runtime's
/// records, files, and cgroups in hierarchies that isobench doesn't use.
#[derive(Debug, Clone, Default)]
pub struct Leftovers {
    /// The command that ends and deletes the container, run after an instance failed or was killed.
    pub deletion: Option<Box<CommandLine>>,
    /// A directory of a mount namespace at which only this instance's file systems are mounted.
    pub mounted: Option<MountPoint>,
    /// A directory that only this instance uses.
    pub directory: Option<PathBuf>,
    /// The cgroups that only this instance uses. Some of them may not exist.
    pub cgroups: Vec<PathBuf>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandResult {
    /// The command ended with exit code 0, in time.
    Success,
    /// The command ended with another code, was killed by a signal, or took too long.
    Failure,
}
