//! One socket of the program's: what it is, and what can be done with it now.

use std::net::SocketAddrV4;
use std::time::Instant;

use nix::errno::Errno;
use nix::libc::{self, c_int, c_short};
use smoltcp::iface::{SocketHandle, SocketSet};

use super::connection::Connection;
use super::options::Options;

/// What a socket is.
#[derive(Debug)]
pub(super) enum Role {
    /// A new one, or one whose connection could not be made.
    Unconnected,
    /// A socket that takes connections.
    Listening {
        /// The connections that were not accepted yet, oldest first. One of them waits for the next
        /// connection, unless there are too many.
        waiting: Vec<Waiting>,
        /// The most connections that wait.
        most: usize,
    },
    /// A connection that is being made.
    Connecting {
        /// The connection.
        handle: SocketHandle,
        /// When the first question was sent.
        since: Instant,
    },
    /// A connection.
    Connected {
        /// The connection.
        handle: SocketHandle,
        /// Whether `connect` has told the program of it.
        is_told: bool,
    },
}

/// A connection of a listening socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    /// The connection.
    pub handle: SocketHandle,
    /// Whether the connection can be accepted, even if the other end has broken it off since.
    pub is_made: bool,
}

/// Which ends of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) struct Ends {
    /// Nothing more is read.
    pub read: bool,
    /// Nothing more is written.
    pub write: bool,
}

/// What a read finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Taken {
    /// So many bytes.
    Bytes(usize),
    /// The other end has closed the connection.
    End,
    /// Nothing yet.
    Nothing,
}

/// What becomes of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Sent {
    /// So many bytes are on their way, or 0 if there is no room yet.
    Bytes(usize),
    /// Nothing more can be sent.
    Broken,
}

/// What was there before the stack did its work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    events: c_short,
    arrived: usize,
}

/// A socket.
#[derive(Debug)]
pub(super) struct Socket {
    pub role: Role,
    /// The address of this end, once the program has named it.
    pub bound: Option<SocketAddrV4>,
    pub options: Options,
    /// The ends that the program has shut down.
    pub shut: Ends,
    /// Whether the other end has shut down its writing.
    pub is_finished: bool,
    /// Whether the connection is over.
    pub is_over: bool,
    /// What the next call is told.
    pub error: Option<Errno>,
    edge: u64,
    seen: Seen,
}

impl Socket {
    /// A new socket.
    pub fn new(options: Options) -> Self {
        Self {
            role: Role::Unconnected,
            bound: None,
            options,
            shut: Ends::default(),
            is_finished: false,
            is_over: false,
            error: None,
            edge: 0,
            seen: Seen::default(),
        }
    }

    /// The connection, if there is one or one is being made.
    pub fn handle(&self) -> Option<SocketHandle> {
        match self.role {
            Role::Connecting { handle, .. } | Role::Connected { handle, .. } => Some(handle),
            Role::Unconnected | Role::Listening { .. } => None,
        }
    }

    /// Whether the socket takes connections.
    pub fn is_listening(&self) -> bool {
        matches!(self.role, Role::Listening { .. })
    }

    /// Takes the error that the next call is told.
    pub fn take_error(&mut self) -> Result<(), Errno> {
        self.error.take().map_or(Ok(()), Err)
    }

    /// Notes what is there.
    pub fn remember(&mut self, all: &SocketSet<'static>) {
        self.seen = self.look(all);
    }

    /// Whether something came that was not there at the last [`Self::remember`].
    pub fn has_changed(&mut self, all: &SocketSet<'static>) -> bool {
        let now = self.look(all);
        let came = now.events & !self.seen.events != 0 || now.arrived > self.seen.arrived;
        self.seen = now;
        self.edge += u64::from(came);
        came
    }

    /// Counts a change that the program has made itself.
    pub fn count_change(&mut self) {
        self.edge += 1;
    }

    /// The `poll` events of what is ready.
    pub fn events(&self, all: &SocketSet<'static>) -> c_short {
        self.look(all).events
    }

    /// The number of changes so far.
    pub fn edge(&self) -> u64 {
        self.edge
    }

    fn look(&self, all: &SocketSet<'static>) -> Seen {
        let error = if self.error.is_some() {
            libc::POLLERR
        } else {
            0
        };
        let mut seen = match &self.role {
            Role::Unconnected if error != 0 => Seen {
                events: INPUT | OUTPUT | libc::POLLHUP | libc::POLLRDHUP,
                arrived: 0,
            },
            Role::Unconnected => Seen {
                events: OUTPUT | libc::POLLHUP,
                arrived: 0,
            },
            Role::Listening { waiting, .. } => {
                let arrived = waiting.iter().filter(|each| each.is_made).count();
                let events = if arrived > 0 { INPUT } else { 0 };
                Seen { events, arrived }
            }
            Role::Connecting { .. } => Seen::default(),
            Role::Connected { handle, .. } => self.look_at(all.get(*handle)),
        };
        seen.events |= error;
        seen
    }

    /// As `tcp_poll` in `net/ipv4/tcp.c`.
    fn look_at(&self, connection: &Connection) -> Seen {
        let arrived = connection.recv_queue();
        let ends_read = self.is_finished || self.shut.read || self.is_over;
        let ends_write = self.shut.write || self.is_over;
        let mut events = 0;
        if arrived > 0 || ends_read {
            events |= INPUT;
        }
        if ends_read {
            events |= libc::POLLRDHUP;
        }
        if self.is_over || (ends_read && ends_write) {
            events |= libc::POLLHUP;
        }
        let room = connection.send_capacity() - connection.send_queue();
        if ends_write || room >= connection.send_capacity() / 3 {
            events |= OUTPUT;
        }
        Seen { events, arrived }
    }
}

const INPUT: c_short = libc::POLLIN | libc::POLLRDNORM;
const OUTPUT: c_short = libc::POLLOUT | libc::POLLWRNORM;

impl Ends {
    /// The ends that `shutdown` names.
    ///
    /// # Errors
    /// `EINVAL`: it names none.
    pub fn of(how: c_int) -> Result<Self, Errno> {
        let (read, write) = match how {
            libc::SHUT_RD => (true, false),
            libc::SHUT_WR => (false, true),
            libc::SHUT_RDWR => (true, true),
            _ => return Err(Errno::EINVAL),
        };
        Ok(Self { read, write })
    }
}
