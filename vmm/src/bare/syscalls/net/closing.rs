//! The end of connections: what the program has written goes on to the other end after the program
//! has closed the socket, and after its own end.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;

use super::connection::{Connection, PATIENCE};
use super::socket::{Ends, Role};
use super::stack::Stack;

/// The most connections that go on after the program has closed them (`tcp_max_orphans`), and those
/// of them that only wait for packets on their way to die out.
const MOST_ORPHANS: usize = 1024;
const MOST_LEFT_WAITING: usize = 64;
/// How long the end of the program waits for its last bytes to reach the host.
const LAST_BYTES: Duration = Duration::from_secs(2);

impl Stack {
    /// Shuts down ends of a connection.
    ///
    /// # Errors
    /// `ENOTCONN`: there is no connection.
    pub fn shut_down(&mut self, id: usize, ends: Ends) -> Result<(), Errno> {
        let socket = self.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        socket.count_change();
        match socket.role {
            Role::Connected { handle, .. } => {
                let connection: &Connection = self.connections.get(handle);
                if matches!(connection.state(), State::Closed | State::TimeWait) {
                    return Err(Errno::ENOTCONN);
                }
                socket.shut.read |= ends.read;
                socket.shut.write |= ends.write;
                if ends.write {
                    self.connection_mut(handle).close();
                    self.transmit();
                }
                Ok(())
            }
            Role::Listening { .. } if ends.read => {
                let role = std::mem::replace(&mut socket.role, Role::Unconnected);
                self.end(role, true);
                Ok(())
            }
            Role::Listening { .. } => Ok(()),
            Role::Unconnected | Role::Connecting { .. } => Err(Errno::ENOTCONN),
        }
    }

    /// Closes the sockets but those that `is_open` knows.
    pub fn retain(&mut self, is_open: impl Fn(usize) -> bool) {
        let ids = self.sockets.iter().map(|(id, _)| id);
        let closed: Vec<usize> = ids.filter(|&id| !is_open(id)).collect();
        for &id in &closed {
            let socket = self.sockets.remove(id);
            self.end(socket.role, socket.options.ends_abruptly());
        }
        if !closed.is_empty() {
            self.transmit();
            self.forget_orphans();
        }
    }

    /// Ends what a socket was. What the program has written is still sent, unless the end is abrupt.
    fn end(&mut self, role: Role, is_abrupt: bool) {
        match role {
            Role::Unconnected => {}
            Role::Listening { waiting, .. } => {
                for each in waiting {
                    self.end_connection(each.handle, true);
                }
            }
            Role::Connecting { handle, .. } => self.end_connection(handle, true),
            Role::Connected { handle, .. } => {
                // The other end learns that its last bytes were not read.
                let is_unread = self.connection(handle).can_recv();
                self.end_connection(handle, is_abrupt || is_unread);
            }
        }
    }

    fn end_connection(&mut self, handle: SocketHandle, is_abrupt: bool) {
        let connection = self.connection_mut(handle);
        connection.set_keep_alive(None);
        connection.set_timeout(Some(PATIENCE.into()));
        if is_abrupt {
            connection.abort();
        } else {
            connection.close();
        }
        self.orphans.push_back(handle);
    }

    /// Forgets the closed connections that are over, and the oldest if there are too many.
    pub(super) fn forget_orphans(&mut self) {
        let state_of = |stack: &Self, handle| stack.connection(handle).state();
        let waiting = self
            .orphans
            .iter()
            .filter(|&&handle| state_of(self, handle) == State::TimeWait);
        let mut too_many = waiting.count().saturating_sub(MOST_LEFT_WAITING);
        let mut left = self.orphans.len();
        for handle in std::mem::take(&mut self.orphans) {
            let connection: &Connection = self.connections.get(handle);
            let (state, is_known) = (connection.state(), connection.remote_endpoint().is_some());
            let is_over = match state {
                // The other end is told of an abrupt end.
                State::Closed => !is_known,
                State::TimeWait if too_many > 0 => {
                    too_many -= 1;
                    true
                }
                _ => left > MOST_ORPHANS,
            };
            if is_over {
                self.connections.remove(handle);
                left -= 1;
            } else {
                self.orphans.push_back(handle);
            }
        }
    }

    /// Closes all sockets, and waits until the other ends have what the program has written.
    pub fn finish(&mut self) {
        self.retain(|_| false);
        let end = Instant::now() + LAST_BYTES;
        while self.orphans.iter().any(|&handle| {
            let state = self.connection(handle).state();
            !matches!(state, State::Closed | State::FinWait2 | State::TimeWait)
        }) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let wait = self.left().map_or(left, |work| left.min(work));
            let tap = self.card.tap();
            let mut awaited: Vec<PollFd<'_>> = tap
                .into_iter()
                .map(|tap| PollFd::new(tap.as_fd(), PollFlags::POLLIN))
                .collect();
            let _ = ppoll(&mut awaited, Some(TimeSpec::from(wait)), None);
            self.work();
        }
    }
}
