//! A running container and its end.

use std::io;
use std::mem::ManuallyDrop;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::WaitStatus;

use super::channel::Channel;
use super::handshake::{ConversationEnd, Handshake};
use super::program_end::ProgramEnd;
use super::scratch::ScratchDirectory;
use super::signals::ForwardedSignals;
use crate::cgroup::{Cgroup, Usage};
use crate::isolation::root::plan::RootKind;
use crate::sys::process;
use crate::sys::signal::{Sender, send, stop_this_process};

/// A failure to wait for a container.
#[derive(Debug, thiserror::Error)]
#[error("cannot wait for the container")]
pub struct WaitError {
    #[from]
    source: io::Error,
}

/// The container's first process. Dropping it kills the process, and with it everything in the
/// container's PID namespace.
#[derive(Debug)]
pub struct FirstProcess {
    pid: Pid,
}

impl FirstProcess {
    /// The child `pid` of this process.
    pub fn new(pid: Pid) -> Self {
        Self { pid }
    }

    /// The host's id of the process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until the process has ended. Then everything in its PID namespace has ended too.
    fn reap(self) -> nix::Result<WaitStatus> {
        // Once the process is reaped, the id may be another process's, which must not be killed.
        let process = ManuallyDrop::new(self);
        process::wait_for(process.pid)
    }
}

impl Drop for FirstProcess {
    fn drop(&mut self) {
        // The call fails if the process has ended by itself.
        let _ = kill(self.pid, Signal::SIGKILL);
        let _ = process::wait_for(self.pid);
    }
}

/// A container whose program runs. Dropping it kills the container and removes what it had, in the
/// order of the fields.
#[derive(Debug)]
pub struct Running {
    pub(super) first_process: FirstProcess,
    pub(super) channel: Channel,
    pub(super) cgroups: Vec<Cgroup>,
    pub(super) scratch: Option<ScratchDirectory>,
    pub(super) root: RootKind,
    /// Whether what the cgroups have counted is read at the end.
    pub(super) reports_usage: bool,
}

impl Running {
    /// The host's id of the container's first process.
    pub fn pid(&self) -> Pid {
        self.first_process.pid
    }

    /// The kind of root that the container got.
    pub fn root(&self) -> RootKind {
        self.root
    }

    /// Sends `signal` to the container's program.
    ///
    /// # Errors
    /// The container has ended.
    pub fn signal(&self, signal: Signal) -> Result<(), WaitError> {
        Ok(kill(self.first_process.pid, signal).map_err(io::Error::from)?)
    }

    /// Waits for the program's end and removes what the container had.
    ///
    /// # Errors
    /// Somebody else has reaped the first process.
    pub fn wait(self) -> Result<Exited, WaitError> {
        self.finish()
    }

    /// Waits as [`Running::wait`] does, and passes on the signals that come meanwhile. While the
    /// program is stopped, this process is stopped, too: whoever looks after this process sees the
    /// stop, and lets both go on.
    ///
    /// # Errors
    /// Somebody else has reaped the first process.
    pub fn wait_forwarding(self, signals: &ForwardedSignals) -> Result<Exited, WaitError> {
        let pid = self.first_process.pid;
        self.channel.signal_messages().map_err(io::Error::from)?;
        loop {
            while let Some(signal) = self.channel.next_stop().map_err(io::Error::from)? {
                // The program may be in a group in which only SIGSTOP stops.
                let _ = stop_this_process(signal.into());
            }
            let caught = signals.wait().map_err(io::Error::other)?;
            if caught.is(Signal::SIGCHLD) {
                // The signal may also tell of an attempt before this container.
                if process::has_ended(pid).map_err(io::Error::from)? {
                    return self.finish();
                }
            } else if caught.sender == Sender::Process {
                // The call fails only if the first process has just ended.
                let _ = send(pid, caught.number);
            }
        }
    }

    fn finish(self) -> Result<Exited, WaitError> {
        let status = self.first_process.reap().map_err(io::Error::from)?;
        let mut conversation = Handshake::Running;
        while conversation == Handshake::Running
            && let Ok(message) = self.channel.next_message()
            && let Ok(next) = conversation.accept(message)
        {
            conversation = next;
        }
        let end = match conversation {
            Handshake::Over(ConversationEnd::ProgramEnded(end)) => end,
            _ => ProgramEnd::from_wait_status(status).unwrap_or(ProgramEnd::KILLED),
        };
        let out_of_memory = end == ProgramEnd::KILLED && self.cgroups.iter().any(ran_out_of_memory);
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

fn ran_out_of_memory(cgroup: &Cgroup) -> bool {
    cgroup.memory_kills().is_ok_and(|kills| kills > 0)
}

/// A container that has ended. Nothing of it is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exited {
    end: ProgramEnd,
    out_of_memory: bool,
    usage: Option<Usage>,
}

impl Exited {
    /// What the container's cgroups had counted, if the [`Spec`](crate::Spec) asked for it.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// How the container's program ended.
    pub fn end(&self) -> ProgramEnd {
        self.end
    }

    /// Whether the kernel killed the program because the container hit its memory limit.
    pub fn out_of_memory(&self) -> bool {
        self.out_of_memory
    }
}
