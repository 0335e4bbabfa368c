//! A started command of the user: any program, which knows nothing of isobench.
//!
//! Unlike an [`Instance`](super::Instance), which speaks the workload's protocol, a timed command
//! may write anything, and as much as it likes. It may go on when it is ready, end early, leave
//! children, or ignore signals. Dropping a [`TimedInstance`] kills and reaps its processes, and
//! removes what the instance left behind.

mod error;
mod output;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};

use super::polling::{is_ready, poll_in};
use super::started::StartedCommand;
use crate::host::clock::MonotonicTime;
use crate::host::interrupt::Interrupt;
use crate::instance::command_line::CommandLine;
use crate::instance::marks::{Count, Mark, parse_marks};
use crate::instance::reap::Ending;
use crate::instance::spawn::{Descriptors, ProcessGroup, spawn};
use crate::instance::stream::Stream;

pub use super::started::End;
pub use error::TimedError;
pub use output::LinePattern;
use output::Output;

/// Bytes of marks that are kept.
const MAX_MARKS: usize = 16 * 1024;

/// The pipes of an instance that hasn't been started. They are made before the harness enters the
/// instance's cgroup, so that their memory isn't charged to the instance.
#[derive(Debug)]
pub struct Pipes {
    descriptors: Descriptors,
    stdout: Output,
    stderr: Output,
    marks: Stream,
}

impl Pipes {
    /// The pipes of an instance that reads `stdin`. A line that `awaited` matches is looked for on
    /// both outputs.
    ///
    /// # Errors
    /// No pipe could be made.
    pub fn new(stdin: OwnedFd, awaited: Option<&LinePattern>) -> io::Result<Self> {
        let (stdout_writer, stdout) = Output::pipe(awaited.cloned())?;
        let (stderr_writer, stderr) = Output::pipe(awaited.cloned())?;
        let (marks_writer, marks) = Stream::pipe(MAX_MARKS)?;
        Ok(Self {
            descriptors: Descriptors {
                stdin,
                stdout: stdout_writer,
                stderr: stderr_writer,
                marks: Some(marks_writer),
            },
            stdout,
            stderr,
            marks,
        })
    }
}

/// A started command of the user.
#[derive(Debug)]
pub struct TimedInstance<'i> {
    // Dropped first: the processes are killed before their pipes close.
    command: StartedCommand,
    stdout: Output,
    stderr: Output,
    marks: Stream,
    limit: Duration,
    deadline: Instant,
    interrupt: &'i Interrupt,
}

impl<'i> TimedInstance<'i> {
    /// Starts `command`. The instance has `limit` for everything that follows.
    ///
    /// # Errors
    /// [`TimedError::Spawn`]
    pub fn start(
        command: &CommandLine,
        pipes: Pipes,
        limit: Duration,
        interrupt: &'i Interrupt,
    ) -> Result<Self, TimedError> {
        let child = spawn(command, pipes.descriptors, ProcessGroup::Own)?;
        Ok(Self {
            command: StartedCommand::new(child, command),
            stdout: pipes.stdout,
            stderr: pipes.stderr,
            marks: pipes.marks,
            limit,
            deadline: Instant::now() + limit,
            interrupt,
        })
    }

    /// The clock's reading just before the instance was cloned.
    pub fn spawned_at(&self) -> MonotonicTime {
        self.command.child.spawned_at
    }

    /// How and when the instance ended; `None` while it runs.
    pub fn end(&self) -> Option<End> {
        self.command.end()
    }

    /// `ending` in words: some runtimes tell two endings alike.
    pub fn describe(&self, ending: Ending) -> String {
        self.command.describe(ending)
    }

    /// When the awaited line was read; `None` if it hasn't come.
    pub fn line_at(&self) -> Option<MonotonicTime> {
        let lines = [self.stdout.matched_at(), self.stderr.matched_at()];
        lines.into_iter().flatten().min()
    }

    /// The last that the instance wrote to standard error.
    pub fn stderr(&self) -> String {
        self.stderr.tail()
    }

    /// The phase marks that have arrived so far, in the order of time.
    ///
    /// # Errors
    /// [`TimedError::Marks`], or [`TimedError::Pipe`]
    pub fn marks(&mut self) -> Result<Vec<Mark>, TimedError> {
        self.marks.drain()?;
        let (mut marks, _) = parse_marks(&self.marks.text())?;
        marks.sort_by_key(|mark| mark.at);
        Ok(marks)
    }

    /// The counts of the launcher and the tracer that have arrived so far.
    ///
    /// # Errors
    /// As [`TimedInstance::marks`]
    pub fn counts(&mut self) -> Result<Vec<Count>, TimedError> {
        self.marks.drain()?;
        Ok(parse_marks(&self.marks.text())?.1)
    }

    /// Asks the instance's first process to end, and waits until it has.
    ///
    /// # Errors
    /// As [`TimedInstance::wait`]
    pub fn terminate(&mut self) -> Result<End, TimedError> {
        if self.command.end().is_none() {
            // A process that has just ended needs no signal.
            let _ = kill(self.command.child.pid, Signal::SIGTERM);
        }
        self.wait_until_ended()
    }

    /// Waits until the instance has written something or ended, `socket` is ready, or the time
    /// `until` has come; and takes note of all that has happened. Returns whether the socket is
    /// ready.
    ///
    /// # Errors
    /// [`TimedError::Timeout`] when the instance's time is up, [`TimedError::Interrupted`],
    /// [`TimedError::Pipe`]
    pub fn wait(
        &mut self,
        socket: Option<PollFd>,
        until: Option<Instant>,
    ) -> Result<bool, TimedError> {
        let until = until.map_or(self.deadline, |until| until.min(self.deadline));
        let (ended, has_socket_event, at) = {
            let mut polled = vec![poll_in(self.interrupt)];
            polled.extend(
                self.command
                    .end()
                    .is_none()
                    .then(|| poll_in(&self.command.child.pidfd)),
            );
            let exit_polled = self.command.end().is_none();
            let has_socket = socket.is_some();
            polled.extend(socket);
            for output in [&self.stdout, &self.stderr] {
                polled.extend((!output.is_closed()).then(|| poll_in(output)));
            }
            poll_until(&mut polled, until)?;
            let ended = exit_polled && is_ready(&polled[1]);
            let socket_place = 1 + usize::from(exit_polled);
            let socket_event = has_socket && is_ready(&polled[socket_place]);
            (ended, socket_event, MonotonicTime::now())
        };
        if self.interrupt.stop_requested() {
            return Err(TimedError::Interrupted);
        }
        if ended {
            self.note_end(at)?;
        }
        self.stdout.fill()?;
        self.stderr.fill()?;
        if self.command.end().is_none() && Instant::now() >= self.deadline {
            return Err(TimedError::Timeout { limit: self.limit });
        }
        Ok(has_socket_event)
    }

    /// Waits until the instance has ended.
    ///
    /// # Errors
    /// As [`TimedInstance::wait`]
    pub fn wait_until_ended(&mut self) -> Result<End, TimedError> {
        loop {
            if let Some(end) = self.command.end() {
                return Ok(end);
            }
            self.wait(None, None)?;
        }
    }

    /// Kills the instance's first process and its process group, and returns the end.
    ///
    /// # Errors
    /// [`TimedError::Pipe`] if the process can't be waited for.
    pub fn kill(&mut self) -> Result<End, TimedError> {
        if let Some(end) = self.command.end() {
            return Ok(end);
        }
        // A process that has just ended needs no signal.
        let _ = kill(self.command.child.pid, Signal::SIGKILL);
        let polled = &mut [PollFd::new(
            self.command.child.pidfd.as_fd(),
            PollFlags::POLLIN,
        )];
        while poll(polled, PollTimeout::NONE) == Err(Errno::EINTR) {}
        self.note_end(MonotonicTime::now())
    }

    /// Reaps the first process, which has ended at the time `at`.
    fn note_end(&mut self, at: MonotonicTime) -> Result<End, TimedError> {
        let end = self.command.reap(at)?;
        // What the processes wrote before their end is in the pipes now.
        while self.stdout.fill()? || self.stderr.fill()? {}
        Ok(end)
    }
}

/// Waits until one of `polled` is ready, or the time `until` has come.
fn poll_until(polled: &mut [PollFd], until: Instant) -> io::Result<()> {
    let left = until.saturating_duration_since(Instant::now());
    // poll(2) counts milliseconds, ppoll(2) nanoseconds. A wait of less than one must not spin.
    let timeout = nix::sys::time::TimeSpec::from_duration(left);
    match nix::poll::ppoll(polled, Some(timeout), None) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
