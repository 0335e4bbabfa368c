//! A daemon that a run starts for itself, because the user said that it may, and ends again.
//!
//! It lives in a mount namespace whose `/run` is its own, so that its socket is known to nobody else and its mounts go
//! with it, and in a cgroup of the run's, which takes in all that it starts: also what leaves its process tree, as the
//! shims of containers do. Ending the run kills that cgroup; of a run that was killed the next one does.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use isobench_reports::model::Unavailable;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;

use super::program::client_environment;
use crate::host::accounting::{Accounting, InstanceGroup};
use crate::host::mounts::MountNamespace;
use crate::instance::bounded_command;
use crate::instance::command_line::CommandLine;
use crate::instance::spawn::{Child, Descriptors, ProcessGroup, spawn};
use crate::targets::Setup;

/// How long a daemon may take until it answers.
const PATIENCE_FOR_START: Duration = Duration::from_secs(30);
/// How long it may take to end when asked to; what is left of it then is killed.
const PATIENCE_FOR_END: Duration = Duration::from_secs(10);
/// How long its client may take to ask it.
const PATIENCE_FOR_CLIENT: Duration = Duration::from_secs(5);
/// Time between two questions.
const INTERVAL: Duration = Duration::from_millis(50);

/// Whose daemon a peer talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Daemons {
    /// The daemon that runs on the host already.
    UseRunning,
    /// A daemon of the run's own, which ends with the run.
    StartOwn,
}

/// The client of a daemon.
#[derive(Debug, Clone)]
pub struct Client {
    program: PathBuf,
    /// Options that lead to a daemon of the run's own.
    address: Vec<&'static str>,
    /// The mount namespace of a daemon of the run's own.
    mounts: Option<MountNamespace>,
}

impl Client {
    /// The client at `program`, of the daemon that runs on the host.
    pub fn of_running(program: PathBuf) -> Self {
        Self {
            program,
            address: Vec::new(),
            mounts: None,
        }
    }

    /// The client at `program`, of a daemon that listens at `address` in `mounts`.
    pub fn of_own(program: PathBuf, address: [&'static str; 2], mounts: MountNamespace) -> Self {
        Self {
            program,
            address: address.to_vec(),
            mounts: Some(mounts),
        }
    }

    /// The client, up to its command.
    pub fn command(&self) -> CommandLine {
        let mut command = CommandLine::new(&self.program).args(&self.address);
        command.environment = client_environment();
        command.mounts.clone_from(&self.mounts);
        command
    }
}

/// A running daemon; dropping it ends it and everything that it started.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    // Dropped after the daemon has been asked to end: kills what is left.
    _group: InstanceGroup,
}

impl Daemon {
    /// Starts `command`, the daemon `name`, and waits until the command `question` of its client
    /// succeeds. What the daemon says goes to a file in the target's directory, and the last line of
    /// that file into the reason of a failure.
    pub fn start(
        name: &str,
        command: &CommandLine,
        question: &CommandLine,
        setup: &Setup,
    ) -> Result<Self, Unavailable> {
        let log = setup.directory.join("daemon.log");
        let failed = |what: String| Unavailable {
            reason: format!("{name} did not start: {what}"),
            fix: format!("see why `{name}` fails by itself, or leave the target out"),
            command: None,
        };
        let accounting = setup.accounting.ok_or_else(|| Unavailable {
            reason: format!("{name} needs a cgroup of the run's, and this host has none for it"),
            fix: "see `isobench doctor` for what the cgroups lack".to_owned(),
            command: None,
        })?;
        let daemon =
            Self::spawn(command, &log, accounting).map_err(|error| failed(error.to_string()))?;
        let deadline = Instant::now() + PATIENCE_FOR_START;
        while !answers(question) {
            if daemon.has_ended(Duration::ZERO) || Instant::now() > deadline {
                let said = fs::read_to_string(&log).unwrap_or_default();
                let last = said.trim().lines().last().unwrap_or("it said nothing");
                return Err(failed(last.chars().take(300).collect()));
            }
            std::thread::sleep(INTERVAL);
        }
        Ok(daemon)
    }

    fn spawn(command: &CommandLine, log: &Path, accounting: &Accounting) -> io::Result<Self> {
        let stdin = File::open("/dev/null")?;
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        let descriptors = Descriptors {
            stdin: stdin.into(),
            stdout: log.try_clone()?.into(),
            stderr: log.into(),
            marks: None,
        };
        let group = accounting.new_group().map_err(io::Error::other)?;
        group.enter().map_err(io::Error::other)?;
        let child = spawn(command, descriptors, ProcessGroup::Own).map_err(io::Error::other);
        group.leave().map_err(io::Error::other)?;
        Ok(Self {
            child: child?,
            _group: group,
        })
    }

    /// Whether it has ended, or does within `patience`.
    fn has_ended(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut polled = [PollFd::new(self.child.pidfd.as_fd(), PollFlags::POLLIN)];
            match poll(&mut polled, timeout) {
                Err(Errno::EINTR) => {}
                ended => return ended.is_ok_and(|count| count > 0),
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Its number isn't free before it is reaped.
        let _ = kill(self.child.pid, Signal::SIGTERM);
        if !self.has_ended(PATIENCE_FOR_END) {
            let _ = kill(self.child.pid, Signal::SIGKILL);
        }
        while waitpid(self.child.pid, None) == Err(Errno::EINTR) {}
    }
}

/// Whether a client's command succeeds, so that its daemon runs and can be reached.
pub fn answers(question: &CommandLine) -> bool {
    bounded_command::run(question, PATIENCE_FOR_CLIENT).is_ok_and(|answer| answer.succeeded())
}

/// Why a daemon that doesn't run can't be had.
pub fn not_running(name: &str, target: &str) -> Unavailable {
    Unavailable {
        reason: format!("{name} isn't running, or can't be reached by this user"),
        fix: format!("isobench run --targets {target} --start-daemons starts one for the run"),
        command: Some(format!("isobench run --targets {target} --start-daemons")),
    }
}
