//! The console: the launcher's own standard input, output and error.

use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::host_io::{self, GuestSlices, TerminalQuestion};

/// One of the console's three ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard input.
    Input,
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// The host's ends of the guest's descriptors 0, 1 and 2.
#[derive(Debug)]
pub struct Console {
    input: OwnedFd,
    output: OwnedFd,
    error: OwnedFd,
    has_output: bool,
}

impl Console {
    /// A console on any three descriptors: pipes in a test.
    pub fn new(input: OwnedFd, output: OwnedFd, error: OwnedFd) -> Self {
        Self {
            input,
            output,
            error,
            has_output: false,
        }
    }

    /// A console on this process's own standard streams, duplicated.
    ///
    /// # Errors
    /// The host can't duplicate a descriptor: there are too many.
    pub fn standard() -> io::Result<Self> {
        Ok(Self::new(
            io::stdin().as_fd().try_clone_to_owned()?,
            io::stdout().as_fd().try_clone_to_owned()?,
            io::stderr().as_fd().try_clone_to_owned()?,
        ))
    }

    /// The host's descriptor behind a stream.
    pub fn descriptor(&self, stream: Stream) -> BorrowedFd<'_> {
        match stream {
            Stream::Input => self.input.as_fd(),
            Stream::Output => self.output.as_fd(),
            Stream::Error => self.error.as_fd(),
        }
    }

    /// Whether anything has been written to standard output.
    pub fn has_output(&self) -> bool {
        self.has_output
    }

    /// Whether a person sits at the other end.
    pub fn is_terminal(&self, stream: Stream) -> bool {
        self.descriptor(stream).is_terminal()
    }

    /// Asks the terminal behind a stream.
    ///
    /// # Errors
    /// `ENOTTY` when there is none.
    pub fn ask_terminal(
        &self,
        stream: Stream,
        question: TerminalQuestion,
    ) -> Result<Vec<u8>, Errno> {
        host_io::ask_terminal(self.descriptor(stream), question)
    }

    /// Reads what there is; waits for something if `wait`, and asleep in the host's kernel.
    ///
    /// # Errors
    /// What the host's `readv` says; `EAGAIN` when there is nothing and `wait` is false.
    pub fn read(&self, stream: Stream, into: &GuestSlices<'_>, wait: bool) -> Result<usize, Errno> {
        let descriptor = self.descriptor(stream);
        if !wait && !is_ready(descriptor, PollFlags::POLLIN, PollTimeout::ZERO)? {
            return Err(Errno::EAGAIN);
        }
        loop {
            match host_io::read_some(descriptor, into) {
                // Someone else has made the shared open file non-blocking; the guest hasn't.
                Err(Errno::EAGAIN) if wait => {
                    is_ready(descriptor, PollFlags::POLLIN, PollTimeout::NONE)?;
                }
                result => return result,
            }
        }
    }

    /// Writes all of `from`.
    ///
    /// # Errors
    /// What the host's `writev` says before anything is written: `EPIPE` when the reader has gone.
    pub fn write(&mut self, stream: Stream, from: &mut GuestSlices<'_>) -> Result<usize, Errno> {
        let wanted = from.len();
        let mut written = 0;
        while written < wanted {
            match host_io::write_all(self.descriptor(stream), from) {
                Ok(count) => written += count,
                Err(Errno::EAGAIN) => {
                    is_ready(
                        self.descriptor(stream),
                        PollFlags::POLLOUT,
                        PollTimeout::NONE,
                    )?;
                }
                Err(_) if written > 0 => break,
                Err(error) => return Err(error),
            }
        }
        self.has_output |= written > 0 && stream == Stream::Output;
        Ok(written)
    }
}

/// Waits for a descriptor to become ready.
fn is_ready(
    descriptor: BorrowedFd<'_>,
    events: PollFlags,
    timeout: PollTimeout,
) -> Result<bool, Errno> {
    loop {
        match poll(&mut [PollFd::new(descriptor, events)], timeout) {
            Err(Errno::EINTR) => {}
            result => return result.map(|ready| ready > 0),
        }
    }
}
