//! A connection as the stack keeps it.

use std::time::Duration;

use smoltcp::socket::tcp::{self, SocketBuffer, State};

/// The bytes that wait on each side of a connection. The host gives memory for them only as they
/// come.
const BUFFER: usize = 256 << 10;
/// How long the other end is asked for a connection, or for the end of one. Linux gives up a
/// connection after 127 seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(127);

/// A connection of the stack.
pub(super) type Connection = tcp::Socket<'static>;

/// A connection that is not made yet.
pub(super) fn new_connection() -> Connection {
    let buffer = || SocketBuffer::new(vec![0; BUFFER]);
    Connection::new(buffer(), buffer())
}

/// Whether a connection that came to a listening socket can be accepted.
pub(super) fn is_made(connection: &Connection) -> bool {
    !matches!(
        connection.state(),
        State::Closed | State::Listen | State::SynReceived
    )
}
