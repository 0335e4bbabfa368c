#![expect(unsafe_code, reason = "the ioctls that set up a network interface")]
//! The guest's network: its loopback, and its card if it was given an address.

use std::mem;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::libc::{self, c_short, c_ulong, ifreq, sockaddr_in};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// The card, as kernels name the first.
const CARD: &str = "eth0";
const LOOPBACK: &str = "lo";
/// The range for benchmarks (RFC 2544), host and guests together: whoever has an address of it reaches the rest by its card.
const MASK: Ipv4Addr = Ipv4Addr::new(255, 254, 0, 0);

/// Brings up the loopback, and the card with `address`.
pub(super) fn set_up(address: Ipv4Addr) -> Result<(), Errno> {
    let socket = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    bring_up(&socket, LOOPBACK)?;
    for (kind, value) in [(libc::SIOCSIFADDR, address), (libc::SIOCSIFNETMASK, MASK)] {
        let mut request = about(CARD);
        request.ifr_ifru.ifru_addr = socket_address(value);
        ask(&socket, kind, &mut request)?;
    }
    bring_up(&socket, CARD)
}

fn bring_up(socket: &OwnedFd, interface: &str) -> Result<(), Errno> {
    let mut request = about(interface);
    let up = libc::IFF_UP | libc::IFF_RUNNING;
    request.ifr_ifru.ifru_flags = c_short::try_from(up).expect("two low bits");
    ask(socket, libc::SIOCSIFFLAGS, &mut request)
}

fn about(interface: &str) -> ifreq {
    // SAFETY: `ifreq` is plain data, for which zero is a valid value.
    let mut request: ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from.cast_signed();
    }
    request
}

fn socket_address(address: Ipv4Addr) -> libc::sockaddr {
    let address = sockaddr_in {
        sin_family: libc::sa_family_t::try_from(libc::AF_INET).expect("a small number"),
        sin_port: 0,
        sin_addr: libc::in_addr {
            s_addr: u32::from(address).to_be(),
        },
        sin_zero: [0; 8],
    };
    // SAFETY: both are plain data of the same size: an address of a family is one of any.
    unsafe { mem::transmute(address) }
}

fn ask(socket: &OwnedFd, kind: c_ulong, request: &mut ifreq) -> Result<(), Errno> {
    // SAFETY: each of the requests above takes a pointer to an `ifreq`, and keeps none.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), kind, &raw mut *request) };
    Errno::result(result).map(drop)
}
