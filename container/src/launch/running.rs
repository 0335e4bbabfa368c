//! A running container and its end.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd as _, OwnedFd};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use crate::cgroup::{Cgroup, Usage};
use crate::launch::handshake::{Handshake, Outcome, ProgramEnd};
use crate::launch::next_message;
use crate::launch::plan::RootKind;
use crate::launch::scratch::ScratchDirectory;
use crate::sys::process;
use crate::sys::signal::{Origin, reset_action, wait};

/// What a launcher passes on to its container.
const FORWARDED: [Signal; 7] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];

/// A failure to wait for a container.
#[derive(Debug, thiserror::Error)]
#[error("cannot wait for the container")]
pub struct WaitError {
    #[from]
    source: io::Error,
}

/// Signals that are held back until [`Running::wait_forwarding`] passes them on.
///
/// Block them before the launch: one that comes during it is then passed on too, and nothing is left behind.
#[derive(Debug)]
pub struct ForwardedSignals {
    set: SigSet,
}

impl ForwardedSignals {
    /// Blocks the signals that are to be forwarded, and `SIGCHLD`, on this thread, which should be the only one.
    ///
    /// `SIGCHLD` gets its default action. Ignored, as a parent may hand it down, it would never come, and the
    /// container's end would be lost.
    ///
    /// # Errors
    /// Never on Linux.
    pub fn block() -> Result<Self, WaitError> {
        reset_action(Signal::SIGCHLD).map_err(io::Error::from)?;
        let mut set = SigSet::empty();
        for signal in FORWARDED {
            set.add(signal);
        }
        set.add(Signal::SIGCHLD);
        set.thread_block().map_err(io::Error::from)?;
        Ok(Self { set })
    }
}

/// The container's first process; dropping it kills it, and with it all in its PID namespace.
#[derive(Debug)]
pub struct InitProcess {
    pid: Pid,
}

impl InitProcess {
    pub fn new(pid: Pid) -> Self {
        Self { pid }
    }

    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits for its end. Everything in its PID namespace has ended then.
    fn reap(self) -> nix::Result<i32> {
        // Reaped, the id is nobody's: it must not be killed any more.
        let process = ManuallyDrop::new(self);
        process::wait_for(process.pid)
    }
}

impl Drop for InitProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = kill(self.pid, Signal::SIGKILL);
        let _ = process::wait_for(self.pid);
    }
}

/// A container whose program runs. Dropping it kills and removes it; the order of the fields is the order of that.
#[derive(Debug)]
pub struct Running {
    init: InitProcess,
    socket: OwnedFd,
    cgroups: Vec<Cgroup>,
    scratch: Option<ScratchDirectory>,
    root: RootKind,
    reports_usage: bool,
}

impl Running {
    pub(crate) fn new(
        init: InitProcess,
        socket: OwnedFd,
        cgroups: Vec<Cgroup>,
        scratch: Option<ScratchDirectory>,
        root: RootKind,
    ) -> Self {
        Self {
            init,
            socket,
            cgroups,
            scratch,
            root,
            reports_usage: false,
        }
    }

    /// Has what its cgroups count be read when it has ended.
    pub(crate) fn reporting_usage(self, reports_usage: bool) -> Self {
        Self {
            reports_usage,
            ..self
        }
    }

    /// The host's id of the container's first process.
    pub fn pid(&self) -> Pid {
        self.init.pid
    }

    /// Which kind of root the container got.
    pub fn root(&self) -> RootKind {
        self.root
    }

    /// Sends `signal` to the container's program.
    ///
    /// # Errors
    /// The container has ended.
    pub fn signal(&self, signal: Signal) -> Result<(), WaitError> {
        Ok(kill(self.init.pid, signal).map_err(io::Error::from)?)
    }

    /// Waits for the program's end and clears the container away.
    ///
    /// # Errors
    /// The first process isn't ours to wait for any more.
    pub fn wait(self) -> Result<Exited, WaitError> {
        self.finish()
    }

    /// As [`Running::wait`], but passes on the signals that come meanwhile.
    ///
    /// # Errors
    /// The first process isn't ours to wait for any more.
    pub fn wait_forwarding(self, signals: &ForwardedSignals) -> Result<Exited, WaitError> {
        loop {
            match wait(&signals.set).map_err(io::Error::from)? {
                // It may also tell of an attempt before this container, or of a stop.
                (Signal::SIGCHLD, _) => {
                    if process::has_ended(self.init.pid).map_err(io::Error::from)? {
                        return self.finish();
                    }
                }
                // A terminal's key went to the program too: same process group.
                (_, Origin::Kernel) => {}
                (signal, Origin::Process) => self.signal(signal).or_else(ignore_ended)?,
            }
        }
    }

    fn finish(self) -> Result<Exited, WaitError> {
        let status = self.init.reap().map_err(io::Error::from)?;
        let said = next_message(self.socket.as_fd()).ok().flatten();
        let end = match Handshake::Running.accept(said) {
            Ok(Handshake::Over(Outcome::Ended(end))) => end,
            _ => ProgramEnd::from_wait_status(status).unwrap_or(ProgramEnd::Signaled(9)),
        };
        let out_of_memory =
            end == ProgramEnd::Signaled(9) && self.cgroups.iter().any(ran_out_of_memory);
        let usage = self.reports_usage.then(|| Usage::of(&self.cgroups));
        drop(self.cgroups);
        drop(self.scratch);
        Ok(Exited {
            end,
            out_of_memory,
            usage,
        })
    }
}

fn ignore_ended(error: WaitError) -> Result<(), WaitError> {
    if error.source.raw_os_error() == Some(libc::ESRCH) {
        Ok(())
    } else {
        Err(error)
    }
}

fn ran_out_of_memory(cgroup: &Cgroup) -> bool {
    cgroup.memory_kills().is_ok_and(|kills| kills > 0)
}

/// A container that has ended, and of which nothing is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exited {
    end: ProgramEnd,
    out_of_memory: bool,
    usage: Option<Usage>,
}

impl Exited {
    /// What its cgroups had counted, if the [`Spec`](crate::Spec) asked for it.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// How its program ended.
    pub fn end(&self) -> ProgramEnd {
        self.end
    }

    /// Whether the kernel killed it because it hit its memory limit.
    pub fn out_of_memory(&self) -> bool {
        self.out_of_memory
    }
}
