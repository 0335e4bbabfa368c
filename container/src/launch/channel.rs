//! The launcher's end of the conversation with the container's first process.

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;

use super::error::LaunchError;
use super::handshake::{MESSAGE_BYTES, Message, Order};
use crate::isolation::step::{SetupFailure, SetupStep};
use crate::sys::{signal, socket};

/// The launcher's end of a socket pair.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
}

impl Channel {
    /// Makes the socket pair: the launcher's end, and the first process's.
    pub fn open() -> Result<(Self, OwnedFd), LaunchError> {
        let (socket, first_process) = socket::pair().map_err(failed)?;
        Ok((Self { socket }, first_process))
    }

    /// The number of the launcher's descriptor, which the first process has a copy of.
    pub fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Sends an order, with the `content` and the open `files` that belong to it.
    ///
    /// If the first process is gone, that is no error here: what the process said before tells more
    /// than a broken pipe.
    pub fn order(&self, order: Order, content: &[u8], files: &[File]) -> Result<(), LaunchError> {
        let descriptors: Vec<BorrowedFd<'_>> = files.iter().map(File::as_fd).collect();
        let sent = socket::send_parts(self.socket.as_fd(), &[order as u8], content, &descriptors);
        match sent {
            Ok(()) | Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// The next message; `None` when the first process is gone, or when it sent something that is
    /// no message.
    pub fn next_message(&self) -> Result<Option<Message>, LaunchError> {
        let mut bytes = [0; MESSAGE_BYTES];
        let mut receive = || socket::receive(self.socket.as_fd(), &mut bytes);
        // If the process has gone without receiving an order, the kernel reports that once, before
        // the last message of the process.
        let received = match receive() {
            Err(Errno::ECONNRESET) => receive(),
            other => other,
        };
        match received {
            Ok(received) => Ok(Message::decode(&bytes[..received.length])),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Has the kernel send `SIGIO` to this process whenever a message comes (fcntl(2), `O_ASYNC`).
    pub fn signal_messages(&self) -> nix::Result<()> {
        signal::announce_input(self.socket.as_fd())
    }

    /// Takes the next message if it tells of a stop of the program, and gives the signal's number.
    /// Any other message stays where it is.
    pub fn next_stop(&self) -> nix::Result<Option<u8>> {
        let mut bytes = [0; MESSAGE_BYTES];
        let length = socket::peek(self.socket.as_fd(), &mut bytes)?;
        match Message::decode(&bytes[..length]) {
            Some(Message::ProgramStopped(signal)) => {
                socket::receive(self.socket.as_fd(), &mut bytes)?;
                Ok(Some(signal))
            }
            _ => Ok(None),
        }
    }

    /// The failure that the first process has already met by itself, if any. No order can be sent
    /// after this.
    pub fn failure_so_far(&self) -> Option<SetupFailure> {
        // A process that waits for an order ends now.
        socket::end_sending(self.socket.as_fd()).ok()?;
        match self.next_message() {
            Ok(Some(Message::SetupFailed(failure))) if failure.step != SetupStep::Handshake => {
                Some(failure)
            }
            _ => None,
        }
    }
}

fn failed(errno: Errno) -> LaunchError {
    LaunchError::Socket {
        source: errno.into(),
    }
}
