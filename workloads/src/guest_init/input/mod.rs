//! Standard input, from the host to the program's pipe.

mod mailbox;
mod serial;

use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::unistd::write;

use super::InitError;
use super::host::Host;
use mailbox::MailboxInput;
use serial::SerialInput;

/// Where standard input comes from.
#[derive(Debug)]
enum Source {
    Serial(SerialInput),
    Mailbox(MailboxInput),
}

/// Standard input on its way to the program.
#[derive(Debug)]
pub(super) struct Input {
    from: Source,
    /// The program's pipe.
    to: OwnedFd,
    /// Bytes for which the pipe had no room.
    pending: Vec<u8>,
}

impl Input {
    /// Opens the source, and tells the host to send.
    pub(super) fn open(to: OwnedFd, host: &Host) -> Result<Self, InitError> {
        let from = match host {
            Host::Ports(_) => SerialInput::open(host)
                .map(Source::Serial)
                .map_err(|error| {
                    InitError::Setup("opening the serial port for standard input", error)
                })?,
            Host::Line(_) => {
                let input = MailboxInput::open(host).map_err(InitError::Line)?;
                Source::Mailbox(input)
            }
        };
        Ok(Self {
            from,
            to,
            pending: Vec::new(),
        })
    }

    /// What has to be waited for: room in the pipe if bytes are pending, otherwise bytes from the
    /// host.
    pub(super) fn waits_for(&self) -> PollFd<'_> {
        if !self.pending.is_empty() {
            return PollFd::new(self.to.as_fd(), PollFlags::POLLOUT);
        }
        let source = match &self.from {
            Source::Serial(serial) => serial.descriptor(),
            Source::Mailbox(mailbox) => mailbox.descriptor(),
        };
        PollFd::new(source, PollFlags::POLLIN)
    }

    /// Carries bytes from the host to the pipe. Breaks once standard input has ended, or the program
    /// has closed it.
    pub(super) fn carry(&mut self, host: &Host) -> ControlFlow<()> {
        if self.pending.is_empty() {
            match &mut self.from {
                Source::Serial(serial) => serial.take(&mut self.pending),
                Source::Mailbox(mailbox) => mailbox.take(&mut self.pending),
            }
        }
        if !self.pending.is_empty() {
            match write(&self.to, &self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(_) => return ControlFlow::Break(()),
            }
        }
        if self.pending.is_empty() {
            if self.has_ended() {
                return ControlFlow::Break(());
            }
            self.ask_for_more(host);
        }
        ControlFlow::Continue(())
    }

    fn has_ended(&self) -> bool {
        match &self.from {
            Source::Serial(serial) => serial.has_ended(),
            Source::Mailbox(mailbox) => mailbox.has_ended(),
        }
    }

    /// Tells the host that there is room again.
    fn ask_for_more(&mut self, host: &Host) {
        match &mut self.from {
            Source::Serial(serial) => serial.ask_for_more(host),
            Source::Mailbox(mailbox) => mailbox.ask_for_more(host),
        }
    }
}
