//! Requests for clones of a program that has initialised.
//!
//! The standard input of a *template* is a socket. Each message there carries two descriptors, and
//! makes one clone of the template, which has the descriptors as its standard input and output. Once
//! the other end of the socket is closed, the template ends, and its clones end with it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::io::retry_on_intr;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// Bytes of a control message with a clone's descriptors.
const CONTROL_BYTES: usize = cmsg_space!(ScmRights(2));

/// The standard streams of a clone.
#[derive(Debug)]
pub struct Streams {
    /// The clone's standard input.
    pub input: OwnedFd,
    /// The clone's standard output.
    pub output: OwnedFd,
}

/// Makes the socket of a template: the end for requests, and the template's end. `execve` closes
/// both.
///
/// # Errors
/// The kernel has no more descriptors.
pub fn socket() -> io::Result<(OwnedFd, OwnedFd)> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    Ok(socketpair(family, kind, SocketFlags::CLOEXEC, None)?)
}

/// Asks for a clone with these standard streams.
///
/// # Errors
/// The template has ended.
pub fn request(
    socket: BorrowedFd<'_>,
    input: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); CONTROL_BYTES];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let streams = [input, output];
    control.push(SendAncillaryMessage::ScmRights(&streams));
    // A message needs a byte to carry descriptors (unix(7)).
    sendmsg(
        socket,
        &[IoSlice::new(b"\n")],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// Waits for the next request. The result is `None` once the other end is closed.
///
/// # Errors
/// `socket` is no socket. [`io::ErrorKind::InvalidData`]: a message lacks a descriptor, and the next may
/// be good.
pub fn next_request(socket: BorrowedFd<'_>) -> io::Result<Option<Streams>> {
    let mut space = [MaybeUninit::uninit(); CONTROL_BYTES];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = retry_on_intr(|| {
        let mut parts = [IoSliceMut::new(&mut byte)];
        recvmsg(socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut descriptors = control.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(rights) => rights.collect(),
        _ => Vec::new(),
    });
    match (descriptors.next(), descriptors.next()) {
        (Some(input), Some(output)) => Ok(Some(Streams { input, output })),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a request for a clone came without its two descriptors",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn a_request_brings_both_streams_and_a_closed_end_no_more() {
        let (near, far) = socket().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        request(near.as_fd(), reader.as_fd(), writer.as_fd()).unwrap();
        drop((reader, writer));
        let Streams { input, output } = next_request(far.as_fd()).unwrap().unwrap();
        File::from(output).write_all(b"through").unwrap();
        let mut read = String::new();
        File::from(input).read_to_string(&mut read).unwrap();
        assert_eq!(read, "through");
        drop(near);
        assert!(next_request(far.as_fd()).unwrap().is_none());
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let (near, far) = socket().unwrap();
        rustix::net::send(&near, b"\n", SendFlags::empty()).unwrap();
        assert!(next_request(far.as_fd()).is_err());
        let file = File::open("/dev/null").unwrap();
        assert!(next_request(file.as_fd()).is_err());
    }
}
