//! Questions to a program that answers lines (the workload `serve`), and clones of such a program.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use isobench_workloads::protocol::Message;
use isobench_workloads::template;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use super::polling::{Patience, poll_in};
use super::stream::Stream;
use super::{Instance, InstanceError, MAX_OUTPUT, unexpected};
use crate::host::clock::MonotonicTime;

/// What the harness waits for, in an error.
const ANSWER: &str = "answer";

/// A clone of an instance's program, with standard streams of its own. The clone belongs to the
/// instance: the end of the instance ends it.
#[derive(Debug)]
pub struct ProgramClone<'i> {
    /// Open until [`ProgramClone::end`].
    stdin: Option<OwnedFd>,
    stdout: Stream,
    requested_at: MonotonicTime,
    /// When the harness last read the clone's standard output.
    read_at: MonotonicTime,
    patience: Patience<'i>,
}

/// A program that answers each line of its input.
pub trait Answering {
    /// Asks for an answer. The program may not have started yet.
    ///
    /// # Errors
    /// [`InstanceError::Pipe`]
    fn ask(&self) -> Result<(), InstanceError>;

    /// Waits for the answer of this number, and returns the time at which the harness read it.
    ///
    /// # Errors
    /// As [`Instance::next_message`], and [`InstanceError::Unexpected`].
    fn wait_for_answer(&mut self, number: u64) -> Result<MonotonicTime, InstanceError>;
}

impl Answering for Instance<'_> {
    fn ask(&self) -> Result<(), InstanceError> {
        Ok(ask(self.stdin.as_ref())?)
    }

    fn wait_for_answer(&mut self, number: u64) -> Result<MonotonicTime, InstanceError> {
        let (message, at) = self.next_message(ANSWER)?;
        check(&message, number).map(|()| at)
    }
}

impl Instance<'_> {
    /// Asks for a clone of the program, which finds its first question waiting. The instance was
    /// started with [`Stdin::Requests`](super::Stdin::Requests).
    ///
    /// # Errors
    /// [`InstanceError::Pipe`]: the instance has ended, or there are no more descriptors.
    pub fn make_clone(&self) -> Result<ProgramClone<'_>, InstanceError> {
        let requests = self.stdin.as_ref();
        let requests = requests.ok_or(io::Error::from(io::ErrorKind::NotConnected))?;
        let (input, stdin) = pipe2(OFlag::O_CLOEXEC).map_err(io::Error::from)?;
        let (output, stdout) = Stream::pipe(MAX_OUTPUT)?;
        ask(Some(&stdin))?;
        let requested_at = MonotonicTime::now();
        template::request(requests.as_fd(), input.as_fd(), output.as_fd())?;
        Ok(ProgramClone {
            stdin: Some(stdin),
            stdout,
            requested_at,
            read_at: requested_at,
            patience: self.patience(),
        })
    }
}

impl ProgramClone<'_> {
    /// The clock's reading just before the clone was asked for.
    pub fn requested_at(&self) -> MonotonicTime {
        self.requested_at
    }

    /// Closes the clone's input, and waits until the clone has closed its output.
    ///
    /// # Errors
    /// As [`Answering::wait_for_answer`].
    pub fn end(mut self) -> Result<MonotonicTime, InstanceError> {
        self.stdin = None;
        match self.next_line("end")? {
            None => Ok(MonotonicTime::now()),
            Some((message, _)) => Err(unexpected(&message, "end")),
        }
    }

    /// The next line, with the time at which the harness read it; `None` at the clone's end.
    fn next_line(
        &mut self,
        awaited: &'static str,
    ) -> Result<Option<(Message, MonotonicTime)>, InstanceError> {
        loop {
            if let Some(line) = self.stdout.take_line() {
                return Ok(Some((line.parse()?, self.read_at)));
            }
            if self.stdout.has_overflowed() {
                return Err(InstanceError::Flood);
            }
            if self.stdout.is_closed() {
                return Ok(None);
            }
            let interrupt = self.patience.interrupt();
            self.patience
                .poll(&mut [poll_in(&self.stdout), poll_in(interrupt)], awaited)?;
            self.stdout.fill()?;
            self.read_at = MonotonicTime::now();
        }
    }
}

impl Answering for ProgramClone<'_> {
    fn ask(&self) -> Result<(), InstanceError> {
        Ok(ask(self.stdin.as_ref())?)
    }

    fn wait_for_answer(&mut self, number: u64) -> Result<MonotonicTime, InstanceError> {
        let line = self.next_line(ANSWER)?;
        let (message, at) = line.ok_or(InstanceError::Closed { awaited: ANSWER })?;
        check(&message, number).map(|()| at)
    }
}

fn ask(stdin: Option<&OwnedFd>) -> io::Result<()> {
    let stdin = stdin.ok_or(io::ErrorKind::NotConnected)?;
    nix::unistd::write(stdin, b"\n")?;
    Ok(())
}

fn check(message: &Message, expected: u64) -> Result<(), InstanceError> {
    match message {
        Message::Answer { number, .. } if *number == expected => Ok(()),
        other => Err(unexpected(other, ANSWER)),
    }
}
