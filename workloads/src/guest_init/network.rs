#![expect(unsafe_code, reason = "the ioctls that set up a network interface")]
//! The guest's network: the loopback, and the network card if the guest was given an address.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::libc::{self, c_short, c_ulong, ifreq, sockaddr_in};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// The name of the loopback.
const LOOPBACK: &str = "lo";
/// The mask of the range for benchmarks (RFC 2544), in which host and guests have their addresses.
/// With this mask a guest reaches the whole range by its card.
const MASK: Ipv4Addr = Ipv4Addr::new(255, 254, 0, 0);

/// Brings up the loopback.
pub(super) fn set_up_loopback() -> Result<(), Errno> {
    bring_up(&any_socket()?, LOOPBACK)
}

/// Brings up `card` with `address`. The host is told when the card is up.
pub(super) fn set_up_card(card: &str, address: Ipv4Addr) -> Result<(), Errno> {
    let socket = any_socket()?;
    for (kind, value) in [(libc::SIOCSIFADDR, address), (libc::SIOCSIFNETMASK, MASK)] {
        let mut request = about(card);
        request.ifr_ifru.ifru_addr = socket_address(value);
        ask(&socket, kind, &mut request)?;
    }
    bring_up(&socket, card)?;
    announce(address)
}

/// A socket for requests about interfaces.
fn any_socket() -> Result<OwnedFd, Errno> {
    socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
}

/// Sends a packet to nobody. With the packet, the host knows that the guest's address answers.
fn announce(address: Ipv4Addr) -> Result<(), Errno> {
    /// The port for what is to be thrown away (RFC 863).
    const DISCARD: u16 = 9;
    let send = || -> io::Result<()> {
        let socket = UdpSocket::bind((address, 0))?;
        socket.set_broadcast(true)?;
        socket.send_to(&[], (address | !MASK, DISCARD)).map(drop)
    };
    send().map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
}

fn bring_up(socket: &OwnedFd, interface: &str) -> Result<(), Errno> {
    let mut request = about(interface);
    let up = libc::IFF_UP | libc::IFF_RUNNING;
    request.ifr_ifru.ifru_flags = c_short::try_from(up).expect("two low bits");
    ask(socket, libc::SIOCSIFFLAGS, &mut request)
}

/// A request about `interface`.
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
    // SAFETY: both types are plain data of the same size. The kernel reads the family first, which
    // says how to read the rest.
    unsafe { mem::transmute(address) }
}

/// Makes the request `kind` of netdevice(7).
fn ask(socket: &OwnedFd, kind: c_ulong, request: &mut ifreq) -> Result<(), Errno> {
    // SAFETY: each of the requests above takes a pointer to an `ifreq`, and does not keep the
    // pointer.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), kind, &raw mut *request) };
    Errno::result(result).map(drop)
}
