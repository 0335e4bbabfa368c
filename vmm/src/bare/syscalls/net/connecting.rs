//! Connections that the program makes.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Instant;

use nix::errno::Errno;
use smoltcp::socket::tcp::State;
use smoltcp::wire::IpAddress;

use super::connection::{Connection, PATIENCE, new_connection};
use super::socket::Role;
use super::stack::Stack;

/// How far a connection is that `connect` makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Connecting {
    /// The other end has not answered yet, and the call has begun to ask.
    Begun,
    /// The same, and an earlier call has begun.
    GoesOn,
    /// There is a connection.
    Made,
}

impl Stack {
    /// Makes a connection, or tells how far it is.
    ///
    /// # Errors
    /// As connect(2).
    pub fn connect(&mut self, id: usize, to: SocketAddrV4) -> Result<Connecting, Errno> {
        let socket = self.socket_mut(id)?;
        socket.take_error()?;
        match &mut socket.role {
            Role::Unconnected => {}
            Role::Listening { .. } => return Err(Errno::EISCONN),
            Role::Connecting { .. } => return Ok(Connecting::GoesOn),
            Role::Connected { is_told, .. } => {
                let was_told = std::mem::replace(is_told, true);
                return if was_told {
                    Err(Errno::EISCONN)
                } else {
                    Ok(Connecting::Made)
                };
            }
        }
        self.begin_to_connect(id, to)?;
        Ok(Connecting::Begun)
    }

    fn begin_to_connect(&mut self, id: usize, to: SocketAddrV4) -> Result<(), Errno> {
        // Linux takes the address of nobody for the loopback's.
        let ip = if to.ip().is_unspecified() {
            Ipv4Addr::LOCALHOST
        } else {
            *to.ip()
        };
        let source = self.source_for(ip).ok_or(Errno::ENETUNREACH)?;
        if to.port() == 0 {
            return Err(Errno::ECONNREFUSED);
        }
        let bound = self.socket(id)?.bound;
        let bound = bound.unwrap_or(SocketAddrV4::new(source, 0));
        let own_ip = if bound.ip().is_unspecified() {
            source
        } else {
            *bound.ip()
        };
        let own = match bound.port() {
            0 => self.with_port(id, SocketAddrV4::new(own_ip, 0))?,
            port => SocketAddrV4::new(own_ip, port),
        };
        let mut connection = new_connection();
        connection.set_timeout(Some(PATIENCE.into()));
        let remote = (IpAddress::from(ip), to.port());
        let local = (IpAddress::from(own_ip), own.port());
        let begun = connection.connect(self.interface.context(), remote, local);
        begun.map_err(|_| Errno::EADDRNOTAVAIL)?;
        let handle = self.connections.add(connection);
        let socket = self.socket_mut(id)?;
        socket.bound = Some(own);
        let since = Instant::now();
        socket.role = Role::Connecting { handle, since };
        self.apply_options(id);
        self.transmit();
        Ok(())
    }

    /// The guest's address from which an address can be reached.
    fn source_for(&self, to: Ipv4Addr) -> Option<Ipv4Addr> {
        if to.is_loopback() {
            return Some(Ipv4Addr::LOCALHOST);
        }
        let own = self.address?;
        let mask = u32::MAX
            .checked_shl(32 - u32::from(self.prefix))
            .unwrap_or_default();
        (u32::from(own) & mask == u32::from(to) & mask).then_some(own)
    }

    /// Learns what has become of a socket's connection.
    pub(super) fn settle(&mut self, id: usize) {
        let Some(socket) = self.sockets.get_mut(id) else {
            return;
        };
        let Some(handle) = socket.handle() else {
            return;
        };
        let connection: &mut Connection = self.connections.get_mut(handle);
        let state = connection.state();
        match socket.role {
            Role::Connecting { .. } if state == State::SynSent || state == State::SynReceived => {}
            Role::Connecting { since, .. } if state == State::Closed => {
                socket.error = Some(if since.elapsed() < PATIENCE {
                    Errno::ECONNREFUSED
                } else {
                    Errno::ETIMEDOUT
                });
                socket.role = Role::Unconnected;
                self.connections.remove(handle);
            }
            Role::Connecting { .. } => {
                connection.set_timeout(None);
                let is_told = false;
                socket.role = Role::Connected { handle, is_told };
                self.settle(id);
            }
            Role::Connected { .. } => {
                socket.is_finished |= matches!(
                    state,
                    State::CloseWait | State::LastAck | State::Closing | State::TimeWait
                );
                if state == State::Closed && !socket.is_over {
                    socket.is_over = true;
                    let is_orderly = socket.is_finished && socket.shut.write;
                    socket.error = match socket.is_finished {
                        _ if is_orderly => None,
                        true => Some(Errno::EPIPE),
                        false => Some(Errno::ECONNRESET),
                    };
                }
            }
            Role::Unconnected | Role::Listening { .. } => {}
        }
    }
}
