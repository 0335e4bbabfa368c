//! One running instance of a target: started, listened to, ended, reaped.
//!
//! Everything that an instance says is bounded and checked; one that hangs, floods, garbles or dies early ends in
//! an [`InstanceError`] that says so, and dropping an [`Instance`] kills and reaps it, and takes away what it left.

mod batch;
pub mod bounded_command;
pub mod command_line;
mod error;
pub mod leftovers;
pub mod marks;
pub mod reap;
pub mod spawn;
mod stdin;
pub mod stream;
#[cfg(test)]
mod tests;

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use isobench_workloads::protocol::Message;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill, killpg};

use crate::host::clock::MonotonicTime;
use crate::host::interrupt::Interrupt;
use crate::instance::command_line::Leftovers;
use crate::instance::command_line::{CommandLine, CommandResult};
use crate::instance::marks::{Count, Mark, parse_marks};
use crate::instance::reap::{Ending, Reaped, reap};
use crate::instance::spawn::{Child, Descriptors, ProcessGroup, spawn_late};
use crate::instance::stream::Stream;

pub use batch::{Started, start_together};
pub use error::InstanceError;
pub use stdin::Stdin;

/// Bytes of standard output after which an instance counts as flooding: far more than the protocol needs.
const MOST_OUTPUT: usize = 1024 * 1024;
/// Bytes of standard error that are kept for a message.
const MOST_ERROR_OUTPUT: usize = 4096;
/// Bytes of marks that are kept.
const MOST_MARKS: usize = 16 * 1024;

/// How long a launcher has, once its workload is set up, to come to rest: what it does then isn't the workload's.
const REST: Duration = Duration::from_millis(5);

/// How and when an instance ended.
#[derive(Debug, Clone, Copy)]
struct Ended {
    ending: Ending,
    at: MonotonicTime,
    cpu_time: Duration,
}

/// A started instance.
#[derive(Debug)]
pub struct Instance<'i> {
    child: Child,
    leftovers: Leftovers,
    ended: Option<Ended>,
    stdin: Option<OwnedFd>,
    stdout: Stream,
    stderr: Stream,
    marks: Stream,
    /// When the harness last read its standard output.
    arrived: MonotonicTime,
    limit: Duration,
    deadline: Instant,
    interrupt: &'i Interrupt,
}

impl<'i> Instance<'i> {
    /// Starts `command`; it has `limit` for everything that follows.
    ///
    /// # Errors
    /// [`InstanceError::Spawn`] or [`InstanceError::Pipe`].
    pub fn start(
        command: &CommandLine,
        stdin: Stdin,
        limit: Duration,
        interrupt: &'i Interrupt,
    ) -> Result<Self, InstanceError> {
        Self::start_late(command, stdin, limit, interrupt, Duration::ZERO)
    }

    /// As [`Instance::start`], with a `delay` inside the time that is measured.
    ///
    /// # Errors
    /// As [`Instance::start`].
    pub fn start_late(
        command: &CommandLine,
        stdin: Stdin,
        limit: Duration,
        interrupt: &'i Interrupt,
        delay: Duration,
    ) -> Result<Self, InstanceError> {
        let (stdout_writer, stdout) = Stream::pipe(MOST_OUTPUT)?;
        let (stderr_writer, stderr) = Stream::pipe(MOST_ERROR_OUTPUT)?;
        let (marks_writer, marks) = Stream::pipe(MOST_MARKS)?;
        let (child_stdin, held) = stdin.open()?;
        let descriptors = Descriptors {
            stdin: child_stdin,
            stdout: stdout_writer,
            stderr: stderr_writer,
            marks: Some(marks_writer),
        };
        let child = spawn_late(command, descriptors, ProcessGroup::Own, delay)?;
        Ok(Self {
            arrived: child.spawned_at,
            child,
            leftovers: command.leftovers.clone(),
            ended: None,
            stdin: held,
            stdout,
            stderr,
            marks,
            limit,
            deadline: Instant::now() + limit,
            interrupt,
        })
    }

    /// The clock just before the instance was cloned.
    pub fn spawned_at(&self) -> MonotonicTime {
        self.child.spawned_at
    }

    /// Process id of the instance's first process.
    pub fn pid(&self) -> nix::unistd::Pid {
        self.child.pid
    }

    /// Waits for the next message on its standard output, and says when it arrived: two that were read at once arrived
    /// at the same time.
    ///
    /// # Errors
    /// Any [`InstanceError`] but `Failed` and `Marks`.
    pub fn next_message(
        &mut self,
        awaited: &'static str,
    ) -> Result<(Message, MonotonicTime), InstanceError> {
        loop {
            if let Some(message) = self.said()? {
                return Ok(message);
            }
            if self.stdout.ended() {
                return Err(self.ended_early(awaited));
            }
            self.await_output(awaited)?;
        }
    }

    /// Waits for exactly `Message::Ready`.
    ///
    /// # Errors
    /// As [`Instance::next_message`], and [`InstanceError::Unexpected`].
    pub fn ready(&mut self) -> Result<MonotonicTime, InstanceError> {
        match self.next_message("ready line")? {
            (Message::Ready, at) => Ok(at),
            (other, _) => Err(unexpected(&other, "ready line")),
        }
    }

    /// Waits until a workload that was started with `--wait` is set up, has it begin its work, and says when.
    ///
    /// # Errors
    /// As [`Instance::next_message`], and [`InstanceError::Unexpected`].
    pub fn begin(&mut self) -> Result<MonotonicTime, InstanceError> {
        self.set_up()?;
        self.go()
    }

    /// The first half of [`Instance::begin`]: waits until it is set up.
    ///
    /// # Errors
    /// As [`Instance::begin`].
    pub fn set_up(&mut self) -> Result<(), InstanceError> {
        match self.next_message("begin line")? {
            (Message::Begin, _) => Ok(()),
            (other, _) => Err(unexpected(&other, "begin line")),
        }
    }

    /// The second half: has it begin.
    ///
    /// # Errors
    /// As [`Instance::begin`].
    pub fn go(&mut self) -> Result<MonotonicTime, InstanceError> {
        std::thread::sleep(REST);
        self.stdout.drain()?;
        if let Some((hasty, _)) = self.said()? {
            return Err(unexpected(&hasty, "waiting"));
        }
        let told = MonotonicTime::now();
        if let Some(stdin) = &self.stdin {
            // One that has gone can't be told, and what is awaited next says how it ended.
            let _ = nix::unistd::write(stdin, b"\n");
        }
        Ok(told)
    }

    /// Closes its standard input: an idle workload then exits.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits for it to exit with code 0, and says when it did.
    ///
    /// # Errors
    /// [`InstanceError::Failed`] for any other ending; `Timeout`, `Flood`, `Interrupted`, `Pipe`.
    pub fn finished(&mut self) -> Result<MonotonicTime, InstanceError> {
        let Ended { ending, at, .. } = self.wait("exit")?;
        self.stdout.drain()?;
        self.stderr.drain()?;
        if self.stdout.flooded() {
            return Err(InstanceError::Flood);
        }
        match ending {
            Ending::Code(0) => Ok(at),
            ending => Err(InstanceError::Failed {
                ending,
                stderr: self.stderr.text(),
            }),
        }
    }

    /// The processor time that it took, with all descendants that were waited for; `None` until it has ended.
    pub fn cpu_time(&self) -> Option<Duration> {
        self.ended.map(|ended| ended.cpu_time)
    }

    /// The phase marks that have arrived so far.
    ///
    /// # Errors
    /// [`InstanceError::Marks`] or [`InstanceError::Pipe`].
    pub fn marks(&mut self) -> Result<Vec<Mark>, InstanceError> {
        Ok(self.told()?.0)
    }

    /// What its launcher has counted and told so far.
    ///
    /// # Errors
    /// As [`Instance::marks`].
    pub fn counts(&mut self) -> Result<Vec<Count>, InstanceError> {
        Ok(self.told()?.1)
    }

    fn told(&mut self) -> Result<(Vec<Mark>, Vec<Count>), InstanceError> {
        self.marks.drain()?;
        Ok(parse_marks(&self.marks.text())?)
    }

    /// The next message among what has been read.
    fn said(&mut self) -> Result<Option<(Message, MonotonicTime)>, InstanceError> {
        if let Some(line) = self.stdout.take_line() {
            return Ok(Some((line.parse()?, self.arrived)));
        }
        if self.stdout.flooded() {
            return Err(InstanceError::Flood);
        }
        Ok(None)
    }

    fn ended_early(&mut self, awaited: &'static str) -> InstanceError {
        match self.wait(awaited) {
            Ok(Ended { ending, .. }) => {
                // A stderr that can't be read leaves the message without its last line, no more.
                let _ = self.stderr.drain();
                InstanceError::EndedEarly {
                    awaited,
                    ending,
                    stderr: self.stderr.text(),
                }
            }
            Err(InstanceError::Timeout { .. }) => InstanceError::Closed { awaited },
            Err(error) => error,
        }
    }

    fn wait(&mut self, awaited: &'static str) -> Result<Ended, InstanceError> {
        loop {
            if let Some(ended) = self.ended {
                return Ok(ended);
            }
            if self.stdout.flooded() {
                return Err(InstanceError::Flood);
            }
            self.await_exit(awaited)?;
        }
    }

    fn await_output(&mut self, awaited: &'static str) -> Result<(), InstanceError> {
        let [stdout, stderr] = {
            let mut polled = [
                poll_in(&self.stdout),
                poll_in(self.interrupt),
                poll_in(&self.stderr),
            ];
            let watched = if self.stderr.ended() { 2 } else { 3 };
            self.poll(&mut polled[..watched], awaited)?;
            [is_ready(&polled[0]), watched == 3 && is_ready(&polled[2])]
        };
        self.take_in(stdout, stderr)
    }

    /// Reads from the streams that have something.
    fn take_in(&mut self, stdout: bool, stderr: bool) -> Result<(), InstanceError> {
        if stdout {
            self.stdout.fill()?;
            self.arrived = MonotonicTime::now();
        }
        if stderr {
            self.stderr.fill()?;
        }
        Ok(())
    }

    fn await_exit(&mut self, awaited: &'static str) -> Result<(), InstanceError> {
        let (exited, at) = {
            let mut polled = vec![poll_in(&self.child.pidfd), poll_in(self.interrupt)];
            for stream in [&self.stdout, &self.stderr] {
                if !stream.ended() {
                    polled.push(poll_in(stream));
                }
            }
            self.poll(&mut polled, awaited)?;
            (is_ready(&polled[0]), MonotonicTime::now())
        };
        if exited {
            // What it left in its process group goes before its number may be given to another group.
            let _ = killpg(self.child.pid, Signal::SIGKILL);
            let Reaped { ending, cpu_time } = reap(self.child.pid)?;
            self.ended = Some(Ended {
                ending,
                at,
                cpu_time,
            });
        }
        self.stdout.fill()?;
        self.stderr.fill()?;
        Ok(())
    }

    fn poll(&self, polled: &mut [PollFd], awaited: &'static str) -> Result<(), InstanceError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(polled, timeout) {
            Ok(0) => Err(InstanceError::Timeout {
                awaited,
                limit: self.limit,
            }),
            Ok(_) | Err(Errno::EINTR) if self.interrupt.asked() => Err(InstanceError::Interrupted),
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(InstanceError::Pipe(errno.into())),
        }
    }
}

impl Drop for Instance<'_> {
    fn drop(&mut self) {
        if self.ended.is_none() {
            // The group is empty until the child has made it, so the child itself is named as well.
            let _ = killpg(self.child.pid, Signal::SIGKILL);
            let _ = kill(self.child.pid, Signal::SIGKILL);
            let _ = reap(self.child.pid);
        }
        let result = match self.ended {
            Some(Ended {
                ending: Ending::Code(0),
                ..
            }) => CommandResult::Success,
            _ => CommandResult::Failure,
        };
        self.leftovers.remove_after(result);
    }
}

/// The error for a message that doesn't belong there.
pub fn unexpected(message: &Message, awaited: &'static str) -> InstanceError {
    InstanceError::Unexpected {
        said: message.to_string().chars().take(80).collect(),
        awaited,
    }
}

fn poll_in<F: AsFd>(descriptor: &F) -> PollFd<'_> {
    PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)
}

fn is_ready(polled: &PollFd) -> bool {
    polled.any().unwrap_or(false)
}
