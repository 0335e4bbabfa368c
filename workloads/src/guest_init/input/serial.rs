//! A virtual machine's serial port: the only way into such a guest that can wake the guest. Some VMMs
//! send standard input through it. Its end does not come through.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::read;

/// The first serial port.
const SERIAL: &str = "/dev/ttyS0";
/// Bytes that the serial port's receiver holds.
const RECEIVER: usize = 64;

/// The serial port, with the bytes that came last.
#[derive(Debug)]
pub(super) struct SerialInput {
    from: OwnedFd,
    bytes: [u8; RECEIVER],
}

impl SerialInput {
    /// Opens the serial port, which from then on carries bytes as they are. The open empties the
    /// port's receiver.
    pub(super) fn open() -> Result<Self, Errno> {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let from = open(SERIAL, flags, Mode::empty())?;
        let mut settings = tcgetattr(&from)?;
        cfmakeraw(&mut settings);
        tcsetattr(&from, SetArg::TCSANOW, &settings)?;
        Ok(Self {
            from,
            bytes: [0; RECEIVER],
        })
    }

    /// What becomes readable when there are bytes.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.from.as_fd()
    }

    /// Where the bytes lie that were taken last.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes what has come, and returns the number of bytes.
    pub(super) fn take(&mut self) -> usize {
        read(&self.from, &mut self.bytes).unwrap_or(0)
    }
}
