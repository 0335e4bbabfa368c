//! A daemon that a run starts for itself and ends again. The user allows that with
//! `--start-daemons`.
//!
//! The daemon runs in a mount namespace with a `/run` of its own. So no other program finds the
//! daemon's socket, and the daemon's mounts end with the daemon. The daemon also runs in a cgroup
//! of the run. All processes that the daemon starts stay in that cgroup, even those that leave its
//! process tree, as containers' shims do. The end of the run kills the cgroup. If the run was
//! killed, the next run does that.

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

use super::instance::runtime_mounts;
use super::program::client_environment;
use crate::host::accounting::{Accounting, InstanceGroup};
use crate::host::mounts::MountNamespace;
use crate::instance::bounded_command;
use crate::instance::command_line::CommandLine;
use crate::instance::spawn::{Child, Descriptors, ProcessGroup, spawn};
use crate::targets::{PrepareContext, PrepareError};

/// How long a daemon may take until it answers its client.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a daemon may take to end after SIGTERM. Then the daemon is killed.
const END_LIMIT: Duration = Duration::from_secs(10);
/// How long a client may take for one request to its daemon.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// The time between two requests.
const REQUEST_INTERVAL: Duration = Duration::from_millis(50);

/// Which daemon a peer uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Daemons {
    /// The daemon that runs on the host already.
    UseRunning,
    /// A daemon that the run starts, and that ends with the run.
    StartOwn,
}

/// The client of a daemon.
#[derive(Debug, Clone)]
pub struct Client {
    program: PathBuf,
    /// The options with the daemon's address. Empty for the daemon that runs on the host.
    address: Vec<&'static str>,
    /// The mount namespace of a daemon that the run has started.
    mounts: Option<MountNamespace>,
}

impl Client {
    /// The client `program` of the daemon that runs on the host.
    pub fn of_running(program: PathBuf) -> Self {
        Self {
            program,
            address: Vec::new(),
            mounts: None,
        }
    }

    /// The client `program` of a daemon that the run has started. The daemon listens at `address`
    /// in the mount namespace `mounts`.
    pub fn of_own(program: PathBuf, address: [&'static str; 2], mounts: MountNamespace) -> Self {
        Self {
            program,
            address: address.to_vec(),
            mounts: Some(mounts),
        }
    }

    /// The mount namespace of a daemon that the run has started.
    pub fn mounts(&self) -> Option<&MountNamespace> {
        self.mounts.as_ref()
    }

    /// The client's command line without a subcommand.
    pub fn command(&self) -> CommandLine {
        let mut command = CommandLine::new(&self.program).args(&self.address);
        command.environment = client_environment();
        command.mounts.clone_from(&self.mounts);
        command
    }
}

/// A running daemon. Dropping the value ends the daemon and all processes that it started.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    // Dropped after the daemon had time to end: the drop kills all processes that are left.
    _group: InstanceGroup,
}

impl Daemon {
    /// Starts `command`, the daemon `name`, and waits until the client's command `request`
    /// succeeds. The daemon's output goes to a file in the target's directory. The last line of
    /// that file is the reason of a failure.
    pub fn start(
        name: &str,
        command: &CommandLine,
        request: &CommandLine,
        context: &PrepareContext,
    ) -> Result<Self, Unavailable> {
        let log = context.directory.join("daemon.log");
        let failed = |what: String| Unavailable {
            reason: format!("{name} did not start: {what}"),
            fix: format!("run `{name}` alone to see why it fails, or leave the target out"),
            command: None,
        };
        let accounting = context.accounting.ok_or_else(|| Unavailable {
            reason: format!("{name} needs a cgroup, and isobench can make none on this host"),
            fix: "run `isobench doctor` to see what the cgroups lack".to_owned(),
            command: None,
        })?;
        let daemon =
            Self::spawn(command, &log, accounting).map_err(|error| failed(error.to_string()))?;
        let deadline = Instant::now() + START_LIMIT;
        while !succeeds(request) {
            if daemon.ends_within(Duration::ZERO) || Instant::now() > deadline {
                let output = fs::read_to_string(&log).unwrap_or_default();
                let last = output.trim().lines().last().unwrap_or("it gave no reason");
                return Err(failed(last.chars().take(300).collect()));
            }
            std::thread::sleep(REQUEST_INTERVAL);
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

    /// Waits for at most `limit` until the daemon ends, and returns whether the daemon has ended.
    fn ends_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
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
        // The process id can't belong to another process before the daemon is reaped.
        let _ = kill(self.child.pid, Signal::SIGTERM);
        if !self.ends_within(END_LIMIT) {
            let _ = kill(self.child.pid, Signal::SIGKILL);
        }
        while waitpid(self.child.pid, None) == Err(Errno::EINTR) {}
    }
}

/// Starts a daemon of the run's own by `start`, in a mount namespace of its own, and gives the
/// client at `program` that reaches the daemon by the options `address`.
///
/// # Errors
/// The mount namespace could not be made, or the error of `start`.
pub fn start_own<E>(
    program: PathBuf,
    address: [&'static str; 2],
    context: &PrepareContext,
    start: impl FnOnce(&Client, MountNamespace, &PrepareContext) -> Result<Daemon, E>,
) -> Result<(Client, Option<Daemon>), PrepareError>
where
    PrepareError: From<E>,
{
    let mounts = context.files(|_| runtime_mounts())?;
    let client = Client::of_own(program, address, mounts.clone());
    let daemon = start(&client, mounts, context)?;
    Ok((client, Some(daemon)))
}

/// Whether a client's command succeeds: the daemon then runs, and the client can reach the daemon.
pub fn succeeds(request: &CommandLine) -> bool {
    bounded_command::run(request, REQUEST_LIMIT).is_ok_and(|output| output.succeeded())
}

/// The reason and the fix for a daemon that doesn't run.
pub fn not_running(name: &str, target: &str) -> Unavailable {
    let command = format!("isobench run --targets {target} --start-daemons");
    Unavailable {
        reason: format!("{name} isn't running, or this user can't reach it"),
        fix: format!("{command} starts {name} for the run alone"),
        command: Some(command),
    }
}
