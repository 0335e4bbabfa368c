//! The ports of the program's sockets.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::RangeInclusive;

use nix::errno::Errno;
use nix::libc;

use super::socket::Socket;
use super::stack::Stack;

/// The ports that a socket gets whose program names none (`ip_local_port_range`).
const OWN_CHOICE: RangeInclusive<u16> = 32_768..=60_999;

impl Stack {
    /// Gives a socket an address of its own.
    ///
    /// # Errors
    /// `EINVAL` if it has one, `EADDRNOTAVAIL` if the address is not the guest's, and `EADDRINUSE`
    /// if another socket has it.
    pub fn bind(&mut self, id: usize, address: SocketAddrV4) -> Result<(), Errno> {
        let socket = self.socket(id)?;
        if socket.bound.is_some() || socket.handle().is_some() {
            return Err(Errno::EINVAL);
        }
        if !address.ip().is_unspecified() && !self.is_own(*address.ip()) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        let address = self.with_port(id, address)?;
        self.socket_mut(id)?.bound = Some(address);
        Ok(())
    }

    /// The address with a port: a free one if the address has none.
    pub(super) fn with_port(
        &mut self,
        id: usize,
        address: SocketAddrV4,
    ) -> Result<SocketAddrV4, Errno> {
        if address.port() != 0 {
            return if self.is_taken(id, address) {
                Err(Errno::EADDRINUSE)
            } else {
                Ok(address)
            };
        }
        for _ in OWN_CHOICE {
            let port = self.next_port();
            let address = SocketAddrV4::new(*address.ip(), port);
            if !self.is_taken(id, address) {
                return Ok(address);
            }
        }
        Err(Errno::EADDRINUSE)
    }

    fn next_port(&mut self) -> u16 {
        let port = self.last_port.wrapping_add(1);
        self.last_port = if OWN_CHOICE.contains(&port) {
            port
        } else {
            *OWN_CHOICE.start()
        };
        self.last_port
    }

    /// Whether another socket than `id` keeps the address from it.
    fn is_taken(&self, id: usize, address: SocketAddrV4) -> bool {
        let shares = |socket: &Socket| {
            let may = socket.options.has(libc::SOL_SOCKET, libc::SO_REUSEADDR);
            may && !socket.is_listening()
        };
        let own_shares = self.socket(id).is_ok_and(shares);
        self.each_socket().any(|(other, socket)| {
            let meets = |bound: SocketAddrV4| {
                let any = Ipv4Addr::UNSPECIFIED;
                bound.port() == address.port()
                    && (bound.ip() == address.ip() || [*bound.ip(), *address.ip()].contains(&any))
            };
            other != id && socket.bound.is_some_and(meets) && !(own_shares && shares(socket))
        })
    }
}
