//! Waiting for an instance: what it writes, and that it ends, each with the run's own end in view.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use isobench_workloads::protocol::Message;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{End, Instance, InstanceError};
use crate::host::clock::MonotonicTime;
use crate::host::interrupt::Interrupt;

impl Instance<'_> {
    /// Takes the next message from what has been read so far.
    pub(super) fn take_message(
        &mut self,
    ) -> Result<Option<(Message, MonotonicTime)>, InstanceError> {
        if let Some(line) = self.stdout.take_line() {
            return Ok(Some((line.parse()?, self.stdout_read_at)));
        }
        if self.stdout.has_overflowed() {
            return Err(InstanceError::Flood);
        }
        Ok(None)
    }

    /// The error for an instance that closed its standard output before `awaited` came.
    pub(super) fn ended_early(&mut self, awaited: &'static str) -> InstanceError {
        match self.wait_for_end(awaited) {
            Ok(End { ending, .. }) => {
                // If standard error can't be read, the message lacks its last part and no more.
                let _ = self.stderr.drain();
                InstanceError::EndedEarly {
                    awaited,
                    ending: self.command.describe(ending),
                    stderr: self.stderr.text(),
                }
            }
            Err(InstanceError::Timeout { .. }) => InstanceError::Closed { awaited },
            Err(error) => error,
        }
    }

    /// The error for an instance that has ended before `awaited` came, if it has. A virtual machine
    /// that is gone closes no connection, so that its end is seen here alone.
    pub fn early_end(&mut self, awaited: &'static str) -> Option<InstanceError> {
        self.stdout.drain().ok()?;
        self.stdout.is_closed().then(|| self.ended_early(awaited))
    }

    /// Waits until the instance has ended, in whatever way.
    pub(super) fn wait_for_end(&mut self, awaited: &'static str) -> Result<End, InstanceError> {
        loop {
            if let Some(end) = self.command.end() {
                return Ok(end);
            }
            if self.stdout.has_overflowed() {
                return Err(InstanceError::Flood);
            }
            self.poll_exit(awaited)?;
        }
    }

    /// Waits until the instance has written something, and reads what has come.
    pub(super) fn poll_output(&mut self, awaited: &'static str) -> Result<(), InstanceError> {
        let [stdout, stderr] = {
            let mut polled = [
                poll_in(&self.stdout),
                poll_in(self.interrupt),
                poll_in(&self.stderr),
            ];
            let watched = if self.stderr.is_closed() { 2 } else { 3 };
            self.poll(&mut polled[..watched], awaited)?;
            [is_ready(&polled[0]), watched == 3 && is_ready(&polled[2])]
        };
        if stdout {
            self.read_stdout()?;
        }
        if stderr {
            self.read_stderr()?;
        }
        Ok(())
    }

    /// Waits until the launcher has written marks, or something has come on another stream.
    pub(super) fn poll_marks(&mut self, awaited: &'static str) -> Result<(), InstanceError> {
        self.poll(
            &mut [poll_in(&self.marks), poll_in(self.interrupt)],
            awaited,
        )
    }

    /// Reads what has come on standard output, and keeps the time of the reading.
    pub(super) fn read_stdout(&mut self) -> Result<(), InstanceError> {
        self.stdout.fill()?;
        self.stdout_read_at = MonotonicTime::now();
        Ok(())
    }

    /// Reads what has come on standard error.
    pub(super) fn read_stderr(&mut self) -> Result<(), InstanceError> {
        Ok(self.stderr.fill()?)
    }

    /// Waits until the instance has written something or has ended, and takes note of either.
    fn poll_exit(&mut self, awaited: &'static str) -> Result<(), InstanceError> {
        let (exited, at) = {
            let mut polled = vec![poll_in(&self.command.child.pidfd), poll_in(self.interrupt)];
            for stream in [&self.stdout, &self.stderr] {
                if !stream.is_closed() {
                    polled.push(poll_in(stream));
                }
            }
            self.poll(&mut polled, awaited)?;
            (is_ready(&polled[0]), MonotonicTime::now())
        };
        if exited {
            self.command.reap(at)?;
        }
        self.stdout.fill()?;
        self.stderr.fill()?;
        Ok(())
    }

    fn poll(&self, polled: &mut [PollFd], awaited: &'static str) -> Result<(), InstanceError> {
        self.patience().poll(polled, awaited)
    }

    /// How long the instance may still take.
    pub(super) fn patience(&self) -> Patience<'_> {
        Patience {
            limit: self.limit,
            deadline: self.deadline,
            interrupt: self.interrupt,
        }
    }
}

/// How long an instance may still take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience<'i> {
    limit: Duration,
    deadline: Instant,
    interrupt: &'i Interrupt,
}

impl Patience<'_> {
    /// Waits until one of `polled` has something to read.
    pub fn poll(&self, polled: &mut [PollFd], awaited: &'static str) -> Result<(), InstanceError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(polled, timeout) {
            Ok(0) => Err(InstanceError::Timeout {
                awaited,
                limit: self.limit,
            }),
            Ok(_) | Err(Errno::EINTR) if self.interrupt.stop_requested() => {
                Err(InstanceError::Interrupted)
            }
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(InstanceError::Pipe(errno.into())),
        }
    }

    /// The descriptor of the run's own end, to be polled beside others.
    pub fn interrupt(&self) -> &Interrupt {
        self.interrupt
    }
}

/// An entry of poll(2) that waits for something to read.
pub(super) fn poll_in<F: AsFd>(descriptor: &F) -> PollFd<'_> {
    PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)
}

/// Whether poll(2) found something at this entry.
pub(super) fn is_ready(polled: &PollFd) -> bool {
    polled.any().unwrap_or(false)
}
