//! The bytes of a connection: reads and writes, straight into and out of the program's memory.

use nix::errno::Errno;
use smoltcp::iface::SocketHandle;

use super::socket::{Role, Sent, Socket, Taken};
use super::stack::Stack;
use crate::devices::host_io::{self, GuestSlices};

impl Stack {
    /// The bytes that a read would find.
    pub fn available(&self, id: usize) -> usize {
        let handle = self.socket(id).ok().and_then(Socket::handle);
        handle.map_or(0, |handle| self.connection(handle).recv_queue())
    }

    /// The bytes for which there is room.
    pub fn room(&self, id: usize) -> usize {
        let handle = self.socket(id).ok().and_then(Socket::handle);
        handle.map_or(0, |handle| {
            let connection = self.connection(handle);
            connection.send_capacity() - connection.send_queue()
        })
    }

    /// Moves bytes into `into`. With `is_peek` they can be read again.
    ///
    /// # Errors
    /// As recv(2).
    pub fn receive(
        &mut self,
        id: usize,
        into: &mut GuestSlices<'_>,
        is_peek: bool,
    ) -> Result<Taken, Errno> {
        let socket = self.socket_mut(id)?;
        let handle = match socket.role {
            Role::Connected { handle, .. } => handle,
            Role::Connecting { .. } => return Ok(Taken::Nothing),
            Role::Unconnected | Role::Listening { .. } => {
                socket.take_error()?;
                return Err(Errno::ENOTCONN);
            }
        };
        let count = if is_peek {
            self.peek(handle, into)
        } else {
            self.take(handle, into)
        };
        if count > 0 {
            return Ok(Taken::Bytes(count));
        }
        let socket = self.socket_mut(id)?;
        socket.take_error()?;
        Ok(
            if socket.is_finished || socket.is_over || socket.shut.read {
                Taken::End
            } else {
                Taken::Nothing
            },
        )
    }

    fn peek(&mut self, handle: SocketHandle, into: &GuestSlices<'_>) -> usize {
        let bytes = self.connection_mut(handle).peek(into.len());
        bytes.map_or(0, |bytes| host_io::copy_from(bytes, into))
    }

    fn take(&mut self, handle: SocketHandle, into: &mut GuestSlices<'_>) -> usize {
        let mut total = 0;
        // The stack's buffer is a ring: what lies at both of its ends takes two turns.
        while !into.is_empty() {
            let taken = self.connection_mut(handle).recv(|bytes| {
                let count = host_io::copy_from(bytes, into);
                (count, count)
            });
            match taken {
                Ok(count) if count > 0 => {
                    into.skip(count);
                    total += count;
                }
                _ => break,
            }
        }
        if total > 0 {
            // The other end may wait for room.
            self.transmit();
        }
        total
    }

    /// Sends bytes as far as there is room.
    ///
    /// # Errors
    /// The connection's error.
    pub fn send(&mut self, id: usize, bytes: &[u8]) -> Result<Sent, Errno> {
        let socket = self.socket_mut(id)?;
        let handle = match socket.role {
            Role::Connected { handle, .. } => handle,
            Role::Connecting { .. } => return Ok(Sent::Bytes(0)),
            Role::Unconnected | Role::Listening { .. } => {
                socket.take_error()?;
                return Ok(Sent::Broken);
            }
        };
        socket.take_error()?;
        if socket.shut.write {
            return Ok(Sent::Broken);
        }
        match self.connection_mut(handle).send_slice(bytes) {
            Ok(count) => {
                self.transmit();
                Ok(Sent::Bytes(count))
            }
            Err(_) => Ok(Sent::Broken),
        }
    }
}
