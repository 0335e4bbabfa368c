//! Standard input, from the host to the program's pipe.

mod mailbox;
mod pieces;
mod serial;

use std::ops::{ControlFlow, Range};
use std::os::fd::{AsFd as _, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::unistd::write;

use super::InitError;
use super::host::Host;
use mailbox::MailboxInput;
use pieces::PieceInput;
use serial::SerialInput;

/// Where standard input comes from.
#[derive(Debug)]
enum Source {
    Pieces(PieceInput),
    Serial(SerialInput),
    Mailbox(MailboxInput),
}

impl Source {
    fn open(host: &Host) -> Result<Self, InitError> {
        let failed = |error| InitError::Setup("opening the serial port for standard input", error);
        match host {
            Host::Ports(ports) if ports.take_input() => {
                PieceInput::open().map(Self::Pieces).map_err(failed)
            }
            Host::Ports(_) => SerialInput::open().map(Self::Serial).map_err(failed),
            Host::Line(_) => {
                let input = MailboxInput::open(host).map_err(InitError::Line)?;
                Ok(Self::Mailbox(input))
            }
        }
    }

    /// Takes the next bytes, and returns their number.
    fn take(&mut self, host: &Host) -> usize {
        match self {
            Self::Pieces(pieces) => pieces.take(host),
            Self::Serial(serial) => serial.take(),
            Self::Mailbox(mailbox) => mailbox.take(),
        }
    }

    /// Where the bytes lie that were taken last.
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Pieces(pieces) => pieces.bytes(),
            Self::Serial(serial) => serial.bytes(),
            Self::Mailbox(mailbox) => mailbox.bytes(),
        }
    }

    fn has_ended(&self) -> bool {
        match self {
            Self::Pieces(pieces) => pieces.has_ended(),
            Self::Serial(_) => false,
            Self::Mailbox(mailbox) => mailbox.has_ended(),
        }
    }
}

/// Standard input on its way to the program.
#[derive(Debug)]
pub(super) struct Input {
    from: Source,
    /// The program's pipe.
    to: OwnedFd,
    /// The bytes of the source for which the pipe had no room yet.
    left: Range<usize>,
}

impl Input {
    /// Opens the source, and tells the host to send.
    pub(super) fn open(to: OwnedFd, host: &Host) -> Result<Self, InitError> {
        Ok(Self {
            from: Source::open(host)?,
            to,
            left: 0..0,
        })
    }

    /// What has to be waited for: room in the pipe if there may be bytes now, otherwise bytes from
    /// the host.
    pub(super) fn waits_for(&self) -> PollFd<'_> {
        let source = match &self.from {
            _ if !self.left.is_empty() => None,
            Source::Pieces(pieces) => pieces.descriptor(),
            Source::Serial(serial) => Some(serial.descriptor()),
            Source::Mailbox(mailbox) => Some(mailbox.descriptor()),
        };
        match source {
            Some(source) => PollFd::new(source, PollFlags::POLLIN),
            None => PollFd::new(self.to.as_fd(), PollFlags::POLLOUT),
        }
    }

    /// Carries bytes from the host to the pipe. Breaks once standard input has ended, or the program
    /// has closed it.
    pub(super) fn carry(&mut self, host: &Host) -> ControlFlow<()> {
        if self.left.is_empty() {
            self.left = 0..self.from.take(host);
        }
        if !self.left.is_empty() {
            match write(&self.to, &self.from.bytes()[self.left.clone()]) {
                Ok(count) => self.left.start += count,
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(_) => return ControlFlow::Break(()),
            }
        }
        if self.left.is_empty() {
            if self.from.has_ended() {
                return ControlFlow::Break(());
            }
            if let Source::Mailbox(mailbox) = &mut self.from {
                mailbox.ask_for_more(host);
            }
        }
        ControlFlow::Continue(())
    }
}
