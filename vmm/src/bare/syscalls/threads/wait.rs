//! What a thread waits for, and until when.

use nix::errno::Errno;
use nix::libc::{c_int, c_short};

use super::super::moment::End;
use super::super::own_files::OwnFile;
use crate::devices::console::Stream;

/// What lets a thread go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::bare::syscalls) enum Condition {
    /// Nothing but the end of the wait, or a signal.
    Nothing,
    /// A wake-up of the futex at this address, with one of these bits.
    Futex {
        /// The futex's address.
        address: u64,
        /// The bits that the waiter listens to.
        bits: u32,
    },
    /// One of these files becomes ready. The thread makes its call again then.
    Files {
        /// Streams of the console, each with its `poll` events.
        streams: Vec<(Stream, c_short)>,
        /// Files of the program's own.
        own: Vec<OwnFile>,
    },
    /// A signal of this set is sent, blocked or not (`sigtimedwait`). The thread makes its call
    /// again then.
    Signals(u64),
}

/// What an interrupted call gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bare::syscalls) enum Interrupted {
    /// `EINTR`, unless the handler asks for the call to be made again (`SA_RESTART`).
    MayRestart,
    /// `EINTR`.
    Fails,
    /// `EINTR`, and the time that is left is written to this address.
    FailsWithTimeLeft(u64),
}

/// A thread's wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::bare::syscalls) struct Wait {
    /// What lets the thread go on.
    pub condition: Condition,
    /// When the wait ends in any case.
    pub end: Option<End>,
    /// What the call gives if a signal interrupts the wait.
    pub interrupted: Interrupted,
    /// The bytes that the call has moved before it waits.
    pub bytes_done: usize,
}

impl Wait {
    /// Whether something that the host tells may end the wait: the time, or a file.
    pub(super) fn is_for_host(&self) -> bool {
        self.end.is_some() || matches!(self.condition, Condition::Files { .. })
    }

    /// What the call gives at the end of the wait. The result is `None` if the thread makes its
    /// call again.
    pub(super) fn value_at_end(&self) -> Option<i64> {
        match self.condition {
            Condition::Nothing => Some(0),
            Condition::Futex { .. } => Some(-i64::from(Errno::ETIMEDOUT as c_int)),
            Condition::Files { .. } | Condition::Signals(_) => None,
        }
    }
}
