//! Sockets that take connections: a connection comes to a place that the stack keeps for it, and waits
//! there until the program accepts it.

use std::net::{Ipv4Addr, SocketAddrV4};

use nix::errno::Errno;
use smoltcp::socket::tcp::State;
use smoltcp::wire::{IpAddress, IpListenEndpoint};

use super::connection::{Connection, PATIENCE, is_made, new_connection};
use super::socket::{Role, Socket, Waiting};
use super::stack::Stack;

/// The most connections that wait to be accepted, however many the program asks for.
const MOST_WAITING: usize = 128;

impl Stack {
    /// Makes a socket take connections, of which `backlog` may wait.
    ///
    /// # Errors
    /// `EINVAL` if the socket is a connection.
    pub fn listen(&mut self, id: usize, backlog: i32) -> Result<(), Errno> {
        // As on Linux, one more connection waits than the program asks for.
        let wanted = usize::try_from(backlog).map_or(MOST_WAITING, |backlog| backlog + 1);
        let wanted = wanted.min(MOST_WAITING);
        let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
        let address = match self.socket(id)?.bound {
            Some(address) => address,
            None => self.with_port(id, any)?,
        };
        let socket = self.socket_mut(id)?;
        match &mut socket.role {
            Role::Unconnected => {
                socket.bound = Some(address);
                socket.role = Role::Listening {
                    waiting: Vec::new(),
                    most: wanted,
                };
            }
            Role::Listening { most, .. } => *most = wanted,
            Role::Connecting { .. } | Role::Connected { .. } => return Err(Errno::EINVAL),
        }
        self.refill();
        Ok(())
    }

    /// Sees to it that each listening socket has a connection that waits for the next one to ask.
    pub(super) fn refill(&mut self) {
        for (_, socket) in &mut self.sockets {
            let (Role::Listening { waiting, most }, Some(bound)) = (&mut socket.role, socket.bound)
            else {
                continue;
            };
            let mut has_free = false;
            for each in waiting.iter_mut() {
                let connection: &mut Connection = self.connections.get_mut(each.handle);
                has_free |= connection.state() == State::Listen;
                if is_made(connection) && !each.is_made {
                    each.is_made = true;
                    connection.set_timeout(None);
                }
            }
            let connections = &mut self.connections;
            waiting.retain(|each| {
                let connection: &Connection = connections.get(each.handle);
                let is_gone = connection.state() == State::Closed && !each.is_made;
                if is_gone {
                    connections.remove(each.handle);
                }
                !is_gone
            });
            if !has_free && waiting.len() < *most {
                let mut connection = new_connection();
                let ip = bound.ip();
                // It fails only for a connection that is not new, and for port 0.
                let _ = connection.listen(IpListenEndpoint {
                    addr: (!ip.is_unspecified()).then(|| IpAddress::from(*ip)),
                    port: bound.port(),
                });
                connection.set_timeout(Some(PATIENCE.into()));
                waiting.push(Waiting {
                    handle: self.connections.add(connection),
                    is_made: false,
                });
            }
        }
    }

    /// Whether `accept` has a connection.
    ///
    /// # Errors
    /// `EINVAL`: the socket takes none.
    pub fn has_connection(&self, id: usize) -> Result<bool, Errno> {
        let Role::Listening { waiting, .. } = &self.socket(id)?.role else {
            return Err(Errno::EINVAL);
        };
        Ok(waiting.iter().any(|each| each.is_made))
    }

    /// Makes the new socket `new` the oldest connection that waits at `id`.
    pub fn accept(&mut self, id: usize, new: usize) -> Result<(), Errno> {
        let socket = self.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        let options = socket.options.clone();
        let Role::Listening { waiting, .. } = &mut socket.role else {
            return Err(Errno::EINVAL);
        };
        let place = waiting.iter().position(|each| each.is_made);
        let Waiting { handle, .. } = waiting.remove(place.ok_or(Errno::EAGAIN)?);
        let mut accepted = Socket::new(options);
        accepted.role = Role::Connected {
            handle,
            is_told: true,
        };
        *self.socket_mut(new)? = accepted;
        self.apply_options(new);
        self.refill();
        // The other end may have closed the connection already.
        self.settle(new);
        Ok(())
    }
}
