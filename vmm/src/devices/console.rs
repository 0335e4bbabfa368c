//! The console: the launcher's own standard input, output and error.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::host_io::{self, GuestSlices};

/// One of the console's three streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// Standard input.
    Input,
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// What a read does if no byte is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfEmpty {
    /// The read waits, asleep in the host's kernel.
    Wait,
    /// The read fails with `EAGAIN`.
    Fail,
}

/// The host's ends of the guest's descriptors 0, 1 and 2.
#[derive(Debug)]
pub(crate) struct Streams {
    input: OwnedFd,
    output: OwnedFd,
    error: OwnedFd,
}

impl Streams {
    /// The host's descriptor for a stream.
    pub(crate) fn descriptor(&self, stream: Stream) -> BorrowedFd<'_> {
        match stream {
            Stream::Input => self.input.as_fd(),
            Stream::Output => self.output.as_fd(),
            Stream::Error => self.error.as_fd(),
        }
    }
}

/// The guest's standard streams.
#[derive(Debug)]
pub struct Console {
    streams: Arc<Streams>,
    has_output: bool,
}

impl Console {
    /// Makes a console on any three descriptors, which are pipes in a test.
    pub fn new(input: OwnedFd, output: OwnedFd, error: OwnedFd) -> Self {
        Self {
            streams: Arc::new(Streams {
                input,
                output,
                error,
            }),
            has_output: false,
        }
    }

    /// Makes a console on duplicates of this process's own standard streams.
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

    /// The host's descriptor for a stream.
    pub fn descriptor(&self, stream: Stream) -> BorrowedFd<'_> {
        self.streams.descriptor(stream)
    }

    /// All three descriptors, for who waits for them while others use the console.
    pub(crate) fn streams(&self) -> Arc<Streams> {
        self.streams.clone()
    }

    /// Whether the guest has written to its standard output.
    pub fn has_output(&self) -> bool {
        self.has_output
    }

    /// Reads the bytes that are there.
    ///
    /// # Errors
    /// The error of the host's `readv`; `EAGAIN` if there is nothing and the call must not wait.
    pub fn read(
        &self,
        stream: Stream,
        into: &GuestSlices<'_>,
        if_empty: IfEmpty,
    ) -> Result<usize, Errno> {
        let descriptor = self.descriptor(stream);
        let waits = if_empty == IfEmpty::Wait;
        if !waits && !is_ready(descriptor, PollFlags::POLLIN, PollTimeout::ZERO)? {
            return Err(Errno::EAGAIN);
        }
        loop {
            match host_io::read_some(descriptor, into) {
                // Another process has made the shared open file non-blocking. The guest hasn't.
                Err(Errno::EAGAIN) if waits => {
                    is_ready(descriptor, PollFlags::POLLIN, PollTimeout::NONE)?;
                }
                result => return result,
            }
        }
    }

    /// Writes all of `from`.
    ///
    /// # Errors
    /// The error of the host's `writev` if nothing was written: `EPIPE` if the reader has gone.
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
