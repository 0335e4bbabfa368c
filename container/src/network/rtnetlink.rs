//! The conversation with the kernel about interfaces (rtnetlink(7)): a list of messages goes there,
//! an acknowledgement comes back.
//!
//! [`configure`] allocates nothing, so that a container's first process may use it.

use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

use netlink_packet_core::NlasIterator;
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use nix::unistd::Pid;

use super::messages::{self, LAST, OPTIONAL};

/// The type of a message that acknowledges or refuses another (`NLMSG_ERROR`, linux/netlink.h).
const ANSWER: u16 = 2;

/// Bytes of a message's header (`struct nlmsghdr`).
const HEADER_BYTES: usize = 16;

/// The most bytes of an interface's description that are read. Most descriptions have under 2 KiB.
const LINK_BYTES: usize = 16 * 1024;

/// Bytes of an answer that are read: the header and the error number. A copy of the message that
/// failed may follow.
const ANSWER_BYTES: usize = 20;

/// A netlink socket for the interfaces of one network namespace.
#[derive(Debug)]
pub struct Rtnetlink {
    socket: OwnedFd,
}

impl Rtnetlink {
    /// Opens a socket for this process's own network namespace.
    pub fn open() -> nix::Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?;
        Ok(Self { socket })
    }

    /// Opens a socket for the network namespace of the process `inside`. This thread enters the
    /// namespace and comes back.
    pub fn open_inside(inside: Pid) -> nix::Result<Self> {
        let ours = open_file("/proc/thread-self/ns/net")?;
        let theirs = open_file(&format!("/proc/{inside}/ns/net"))?;
        setns(&theirs, CloneFlags::CLONE_NEWNET)?;
        let opened = Self::open();
        setns(&ours, CloneFlags::CLONE_NEWNET)?;
        opened
    }

    /// Waits until the interface `index` can send.
    ///
    /// The kernel switches the first end of a pair on by a worker, which waits for its turn behind
    /// everything else that needs the lock of all interfaces. A packet sent before is lost, and a
    /// TCP connection then begins a second late. Since Linux 6.8, asking for the state makes the
    /// kernel bring it about.
    pub fn await_link(&self, index: u32) -> nix::Result<()> {
        const PAUSE: Duration = Duration::from_micros(200);
        const TRIES: u32 = 5000;
        for _ in 0..TRIES {
            if self.can_send(index)? {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
        Err(Errno::ETIMEDOUT)
    }

    fn can_send(&self, index: u32) -> nix::Result<bool> {
        let socket = self.socket.as_raw_fd();
        send(socket, &messages::query(index), MsgFlags::empty())?;
        let mut bytes = vec![0; LINK_BYTES];
        let length = recv(socket, &mut bytes, MsgFlags::MSG_DONTWAIT)?;
        if let Some(Answer { error, .. }) = Answer::parse(&bytes[..length]) {
            return Err(Errno::from_raw(error));
        }
        is_up(&bytes[..length]).ok_or(Errno::EPROTO)
    }

    /// Makes the kernel act on a list of messages, in order.
    pub fn request(&self, messages: &[u8]) -> nix::Result<()> {
        let socket = self.socket.as_raw_fd();
        send(socket, messages, MsgFlags::empty())?;
        loop {
            let mut bytes = [0; ANSWER_BYTES];
            // When `send` returns, the kernel has acted. Each answer is a datagram of its own.
            let length = recv(socket, &mut bytes, MsgFlags::MSG_DONTWAIT)?;
            match Answer::parse(&bytes[..length]).ok_or(Errno::EPROTO)? {
                Answer {
                    sequence: OPTIONAL, ..
                } => {}
                Answer { error: 0, sequence } if sequence != LAST => {}
                Answer { error: 0, .. } => return Ok(()),
                Answer { error, .. } => return Err(Errno::from_raw(error)),
            }
        }
    }
}

/// Makes the kernel act on a list of messages about this process's own network namespace.
pub fn configure(messages: &[u8]) -> nix::Result<()> {
    Rtnetlink::open()?.request(messages)
}

fn open_file(path: &str) -> nix::Result<File> {
    let errno = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
    File::open(path).map_err(errno)
}

/// Whether the interface that `message` describes can send (the operational state of RFC 2863).
fn is_up(message: &[u8]) -> Option<bool> {
    /// Bytes of `struct ifinfomsg`, which the attributes follow.
    const LINK_HEADER_BYTES: usize = 16;
    /// `IF_OPER_UP` (linux/if.h).
    const UP: u8 = 6;
    // The message is not parsed by netlink-packet-route: code for everything that an interface can
    // be makes the launcher a third larger.
    let attributes = message.get(HEADER_BYTES + LINK_HEADER_BYTES..)?;
    let state = NlasIterator::new(attributes)
        .map_while(Result::ok)
        .find(|attribute| attribute.kind() == libc::IFLA_OPERSTATE)?;
    Some(state.value() == [UP])
}

/// The kernel's answer to one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Answer {
    /// The sequence number of the message.
    sequence: u32,
    /// The number of the error; 0 if the message succeeded.
    error: i32,
}

impl Answer {
    /// Reads `struct nlmsghdr` and the error number after it, which the kernel negates.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<ANSWER_BYTES>()?;
        let word = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        let kind = u16::from_ne_bytes([bytes[4], bytes[5]]);
        let error = i32::from_ne_bytes(word(16)).checked_neg()?;
        (kind == ANSWER && error >= 0).then_some(Self {
            sequence: u32::from_ne_bytes(word(8)),
            error,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(kind: u16, sequence: u32, error: i32) -> Vec<u8> {
        let mut bytes = 36_u32.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 2]);
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(error.to_ne_bytes());
        bytes
    }

    #[test]
    fn an_answer_names_its_message_and_error() {
        let parsed = Answer::parse(&answer(ANSWER, LAST, -libc::EEXIST)).unwrap();
        assert_eq!(
            parsed,
            Answer {
                sequence: LAST,
                error: libc::EEXIST
            }
        );
        for wrong in [
            answer(16, LAST, 0),
            answer(ANSWER, LAST, 5),
            answer(ANSWER, LAST, i32::MIN),
            answer(ANSWER, LAST, 0)[..19].to_vec(),
        ] {
            assert_eq!(Answer::parse(&wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_kernel_knows_the_loopback_and_not_every_index() {
        let kernel = Rtnetlink::open().unwrap();
        assert!(kernel.can_send(1).is_ok());
        assert_eq!(kernel.can_send(u32::MAX >> 1), Err(Errno::ENODEV));
    }

    #[test]
    fn a_request_without_an_answer_is_an_error_at_once() {
        let kernel = Rtnetlink::open().unwrap();
        // The message is too short for a header, so the kernel does not answer.
        assert_eq!(kernel.request(&[0; 4]), Err(Errno::EAGAIN));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_none(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(answer) = Answer::parse(&bytes) {
                prop_assert!(bytes.len() >= ANSWER_BYTES && answer.error >= 0);
            }
            let _ = is_up(&bytes);
        }
    }
}
