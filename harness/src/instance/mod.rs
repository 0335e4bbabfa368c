//! One running instance of a target: started, listened to, ended, reaped.
//!
//! All that an instance writes is bounded and checked. An instance that hangs, floods its output,
//! breaks the protocol or dies early ends in an [`InstanceError`] that says so. Dropping an
//! [`Instance`] kills and reaps its processes, and removes what the instance left behind.

mod answers;
mod batch;
pub mod bounded_command;
pub mod command_line;
pub mod endings;
mod error;
pub mod leftovers;
pub mod marks;
mod polling;
pub mod reap;
pub mod spawn;
mod started;
mod stdin;
pub mod stream;
#[cfg(test)]
mod tests;
pub mod timed;

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use isobench_workloads::protocol::Message;

use crate::host::clock::MonotonicTime;
use crate::host::interrupt::Interrupt;
use crate::instance::command_line::CommandLine;
use crate::instance::marks::{Count, Mark, parse_marks};
use crate::instance::reap::Ending;
use crate::instance::spawn::{Descriptors, ProcessGroup, spawn_with_delay};
use crate::instance::stream::Stream;

pub use answers::{Answering, ProgramClone};
pub use batch::{StartTimes, start_at_intervals};
pub use error::InstanceError;
use started::{End, StartedCommand};
pub use stdin::Stdin;

/// Bytes of standard output that an instance may write. The protocol needs far fewer.
const MAX_OUTPUT: usize = 1024 * 1024;
/// Bytes of standard error that are kept for a message.
const MAX_ERROR_OUTPUT: usize = 4096;
/// Bytes of marks that are kept.
const MAX_MARKS: usize = 16 * 1024;

/// How long a launcher may still work after its workload is set up. The launcher's own work then
/// isn't counted as the workload's.
const SETTLING_TIME: Duration = Duration::from_millis(5);

/// A started instance.
#[derive(Debug)]
pub struct Instance<'i> {
    // Dropped first: the processes are killed before their pipes close.
    command: StartedCommand,
    stdin: Option<OwnedFd>,
    stdout: Stream,
    stderr: Stream,
    marks: Stream,
    /// When the harness last read the instance's standard output.
    stdout_read_at: MonotonicTime,
    limit: Duration,
    deadline: Instant,
    interrupt: &'i Interrupt,
}

impl<'i> Instance<'i> {
    /// Starts `command`. The instance has `limit` for everything that follows.
    ///
    /// # Errors
    /// [`InstanceError::Spawn`] or [`InstanceError::Pipe`].
    pub fn start(
        command: &CommandLine,
        stdin: Stdin,
        limit: Duration,
        interrupt: &'i Interrupt,
    ) -> Result<Self, InstanceError> {
        Self::start_with_delay(command, stdin, limit, interrupt, Duration::ZERO)
    }

    /// As [`Instance::start`], with a `delay` inside the time that is measured.
    ///
    /// # Errors
    /// As [`Instance::start`].
    pub fn start_with_delay(
        command: &CommandLine,
        stdin: Stdin,
        limit: Duration,
        interrupt: &'i Interrupt,
        delay: Duration,
    ) -> Result<Self, InstanceError> {
        let (stdout_writer, stdout) = Stream::pipe(MAX_OUTPUT)?;
        let (stderr_writer, stderr) = Stream::pipe(MAX_ERROR_OUTPUT)?;
        let (marks_writer, marks) = if command.holds {
            Stream::socket(MAX_MARKS)?
        } else {
            Stream::pipe(MAX_MARKS)?
        };
        let (child_stdin, held) = stdin.open()?;
        let descriptors = Descriptors {
            stdin: child_stdin,
            stdout: stdout_writer,
            stderr: stderr_writer,
            marks: Some(marks_writer),
        };
        let child = spawn_with_delay(command, descriptors, ProcessGroup::Own, delay)?;
        Ok(Self {
            stdout_read_at: child.spawned_at,
            command: StartedCommand::new(child, command),
            stdin: held,
            stdout,
            stderr,
            marks,
            limit,
            deadline: Instant::now() + limit,
            interrupt,
        })
    }

    /// The clock's reading just before the instance was cloned.
    pub fn spawned_at(&self) -> MonotonicTime {
        self.command.child.spawned_at
    }

    /// The process id of the instance's first process.
    pub fn pid(&self) -> nix::unistd::Pid {
        self.command.child.pid
    }

    /// Waits for the next message on the instance's standard output, and returns the message and
    /// the time at which the harness read it. Two messages of one read have the same time.
    ///
    /// # Errors
    /// Any [`InstanceError`] but `Failed` and `Marks`.
    pub fn next_message(
        &mut self,
        awaited: &'static str,
    ) -> Result<(Message, MonotonicTime), InstanceError> {
        loop {
            if let Some(message) = self.take_message()? {
                return Ok(message);
            }
            if self.stdout.is_closed() {
                return Err(self.ended_early(awaited));
            }
            self.poll_output(awaited)?;
        }
    }

    /// Waits for the ready line, and returns the time at which the harness read the line.
    ///
    /// # Errors
    /// As [`Instance::next_message`], and [`InstanceError::Unexpected`].
    pub fn wait_until_ready(&mut self) -> Result<MonotonicTime, InstanceError> {
        match self.next_message("ready line")? {
            (Message::Ready, at) => Ok(at),
            (other, _) => Err(unexpected(&other, "ready line")),
        }
    }

    /// Waits until a workload that was started with `--wait` is set up, lets the workload begin its
    /// work, and returns the time of the beginning.
    ///
    /// # Errors
    /// As [`Instance::next_message`], [`InstanceError::Unexpected`] and
    /// [`InstanceError::TooEarly`].
    pub fn begin_work(&mut self) -> Result<MonotonicTime, InstanceError> {
        self.wait_until_set_up()?;
        self.release()
    }

    /// The first half of [`Instance::begin_work`]: waits until the workload is set up.
    ///
    /// # Errors
    /// As [`Instance::begin_work`].
    pub fn wait_until_set_up(&mut self) -> Result<(), InstanceError> {
        match self.next_message("begin line")? {
            (Message::Begin, _) => Ok(()),
            (other, _) => Err(unexpected(&other, "begin line")),
        }
    }

    /// The second half of [`Instance::begin_work`]: lets the workload begin.
    ///
    /// # Errors
    /// As [`Instance::begin_work`].
    pub fn release(&mut self) -> Result<MonotonicTime, InstanceError> {
        std::thread::sleep(SETTLING_TIME);
        self.stdout.drain()?;
        if let Some((message, _)) = self.take_message()? {
            return Err(InstanceError::TooEarly {
                message: shortened(&message),
            });
        }
        let released = MonotonicTime::now();
        if let Some(stdin) = &self.stdin {
            // A write to an instance that has ended fails. The next wait then says how it ended.
            let _ = nix::unistd::write(stdin, b"\n");
        }
        Ok(released)
    }

    /// Waits until the launcher has written the mark `phase`.
    ///
    /// # Errors
    /// As [`Instance::next_message`], and [`InstanceError::Marks`].
    pub fn wait_for_mark(&mut self, phase: &str) -> Result<(), InstanceError> {
        while !self.marks()?.iter().any(|mark| mark.phase == phase) {
            if self.marks.is_closed() {
                return Err(self.ended_early("launcher's mark"));
            }
            self.poll_marks("launcher's mark")?;
        }
        Ok(())
    }

    /// Lets a launcher that holds go on, and returns the time of the word.
    ///
    /// # Errors
    /// [`InstanceError::Pipe`]
    pub fn let_go(&mut self) -> Result<MonotonicTime, InstanceError> {
        let at = MonotonicTime::now();
        self.marks.answer()?;
        Ok(at)
    }

    /// Closes the instance's standard input: an idle workload then exits.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits for the instance to exit with code 0, and returns the time of the exit.
    ///
    /// # Errors
    /// [`InstanceError::Failed`] for any other ending; `Timeout`, `Flood`, `Interrupted`, `Pipe`.
    pub fn wait_until_exited(&mut self) -> Result<MonotonicTime, InstanceError> {
        let End { ending, at, .. } = self.wait_for_end("exit")?;
        self.stdout.drain()?;
        self.stderr.drain()?;
        if self.stdout.has_overflowed() {
            return Err(InstanceError::Flood);
        }
        match ending {
            Ending::Code(0) => Ok(at),
            ending => Err(InstanceError::Failed {
                ending: self.command.describe(ending),
                stderr: self.stderr.text(),
            }),
        }
    }

    /// The processor time of the instance and of all its descendants that were waited for. `None`
    /// until the instance has ended.
    pub fn cpu_time(&self) -> Option<Duration> {
        self.command.end().map(|end| end.cpu_time.sum())
    }

    /// The phase marks that have arrived so far.
    ///
    /// # Errors
    /// [`InstanceError::Marks`] or [`InstanceError::Pipe`].
    pub fn marks(&mut self) -> Result<Vec<Mark>, InstanceError> {
        Ok(self.read_marks_pipe()?.0)
    }

    /// The launcher's counts that have arrived so far.
    ///
    /// # Errors
    /// As [`Instance::marks`].
    pub fn counts(&mut self) -> Result<Vec<Count>, InstanceError> {
        Ok(self.read_marks_pipe()?.1)
    }

    fn read_marks_pipe(&mut self) -> Result<(Vec<Mark>, Vec<Count>), InstanceError> {
        self.marks.drain()?;
        Ok(parse_marks(&self.marks.text())?)
    }
}

/// The error for a `message` that came where the harness waited for `awaited`.
pub fn unexpected(message: &Message, awaited: &'static str) -> InstanceError {
    InstanceError::Unexpected {
        message: shortened(message),
        awaited,
    }
}

/// The first 80 characters of `message`.
fn shortened(message: &Message) -> String {
    message.to_string().chars().take(80).collect()
}
