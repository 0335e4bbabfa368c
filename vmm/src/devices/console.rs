//! The console: the launcher's own standard input, output and error.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// The host's ends of the guest's descriptors 0, 1 and 2.
#[derive(Debug)]
pub struct Console {
    input: OwnedFd,
    output: OwnedFd,
    error: OwnedFd,
}

impl Console {
    /// A console on any three descriptors: pipes in a test.
    pub fn new(input: OwnedFd, output: OwnedFd, error: OwnedFd) -> Self {
        Self { input, output, error }
    }

    /// A console on this process's own standard streams, duplicated.
    pub fn standard() -> io::Result<Self> {
        Ok(Self::new(
            io::stdin().as_fd().try_clone_to_owned()?,
            io::stdout().as_fd().try_clone_to_owned()?,
            io::stderr().as_fd().try_clone_to_owned()?,
        ))
    }
}
