//! Messages with descriptors between the launcher and the container's first process.
//!
//! nix puts received descriptors on the heap. Here they go into an array, so that the first
//! process can receive them between `clone3` and `execve`.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::io::retry_on_intr;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType,
};

use super::errno;

/// The most descriptors that one message can carry.
pub const MAX_DESCRIPTORS: usize = 8;

/// Bytes of a control message with [`MAX_DESCRIPTORS`] descriptors.
const CONTROL_BYTES: usize = cmsg_space!(ScmRights(MAX_DESCRIPTORS));

/// Descriptors that came with a message, in order.
pub type Descriptors = [Option<OwnedFd>; MAX_DESCRIPTORS];

/// One message received.
pub struct Received {
    /// How many bytes of the buffer the message filled; 0 when the other side is gone.
    pub length: usize,
    /// The descriptors that came with the message.
    pub descriptors: Descriptors,
}

/// A pair of connected sockets that keep the bounds of messages. `execve` closes both.
pub fn pair() -> nix::Result<(OwnedFd, OwnedFd)> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    rustix::net::socketpair(family, kind, SocketFlags::CLOEXEC, None).map_err(errno)
}

/// Receives one message into `buffer`: recvmsg(2), again when a signal interrupts it.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> nix::Result<Received> {
    let mut space = [MaybeUninit::uninit(); CONTROL_BYTES];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(buffer)];
    let received = retry_on_intr(|| {
        rustix::net::recvmsg(socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)
    });
    let length = received.map_err(errno)?.bytes;
    let mut descriptors = [const { None }; MAX_DESCRIPTORS];
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            for (slot, descriptor) in descriptors.iter_mut().zip(rights) {
                *slot = Some(descriptor);
            }
        }
    }
    Ok(Received {
        length,
        descriptors,
    })
}

/// Copies the next message into `buffer` and leaves the message where it is. Gives the message's
/// length; 0 if there is no message, or if the other side is gone.
pub fn peek(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> nix::Result<usize> {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    match retry_on_intr(|| rustix::net::recv(socket, &mut *buffer, flags)) {
        Ok((length, _)) => Ok(length),
        Err(rustix::io::Errno::AGAIN) => Ok(0),
        Err(error) => Err(errno(error)),
    }
}

/// Sends `message`. If the launcher is gone, nobody is left to be told, and `SIGKILL` is on its
/// way.
pub fn send(socket: BorrowedFd<'_>, message: &[u8]) {
    let _ = rustix::net::send(socket, message, SendFlags::NOSIGNAL);
}

/// Sends `head` and `body` as one message, with `descriptors`, of which there are at most
/// [`MAX_DESCRIPTORS`].
pub fn send_parts(
    socket: BorrowedFd<'_>,
    head: &[u8],
    body: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> nix::Result<()> {
    let mut space = [MaybeUninit::uninit(); CONTROL_BYTES];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let parts = [IoSlice::new(head), IoSlice::new(body)];
    rustix::net::sendmsg(socket, &parts, &mut control, SendFlags::NOSIGNAL)
        .map(drop)
        .map_err(errno)
}

/// Says that nothing more will be sent: whoever waits for a message at the other end sees the end.
pub fn end_sending(socket: BorrowedFd<'_>) -> nix::Result<()> {
    rustix::net::shutdown(socket, Shutdown::Write).map_err(errno)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn a_message_arrives_with_its_descriptors() {
        let (near, far) = pair().unwrap();
        let file = File::open("/dev/null").unwrap();
        let sent = [file.as_fd(); MAX_DESCRIPTORS];
        send_parts(near.as_fd(), b"head", b"body", &sent).unwrap();
        let mut buffer = [0; 16];
        let received = receive(far.as_fd(), &mut buffer).unwrap();
        assert_eq!(&buffer[..received.length], b"headbody");
        assert!(received.descriptors.iter().all(Option::is_some));
    }

    #[test]
    fn the_end_of_sending_arrives_as_an_empty_message() {
        let (near, far) = pair().unwrap();
        end_sending(near.as_fd()).unwrap();
        let received = receive(far.as_fd(), &mut [0; 16]).unwrap();
        assert_eq!(received.length, 0);
        assert!(received.descriptors.iter().all(Option::is_none));
    }
}
