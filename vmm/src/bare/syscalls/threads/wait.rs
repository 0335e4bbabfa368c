//! What a thread waits for, and until when.

use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{c_int, c_short};
use nix::time::{ClockId, clock_gettime};

use crate::devices::console::Stream;

/// A moment of a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bare::syscalls) struct End {
    /// The clock.
    pub clock: ClockId,
    /// What the clock shows then.
    pub at: Duration,
}

impl End {
    /// The moment after `time`. The result is `None` if that is never.
    pub fn after(time: Duration) -> Result<Option<Self>, Errno> {
        let clock = ClockId::CLOCK_MONOTONIC;
        let now = Duration::from(clock_gettime(clock)?);
        Ok(now.checked_add(time).map(|at| Self { clock, at }))
    }

    /// The time until then. The result is zero afterwards.
    pub fn left(&self) -> Duration {
        // The clock was checked when the program named the clock.
        let now = clock_gettime(self.clock).map_or(Duration::MAX, Duration::from);
        self.at.saturating_sub(now)
    }
}

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
    /// One of these streams becomes ready for its `poll` events, or an object of the program's own
    /// (a pipe, a counter) changes. The thread makes its call again then.
    Files(Vec<(Stream, c_short)>),
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
}

impl Wait {
    /// What the call gives at the end of the wait. The result is `None` if the thread makes its
    /// call again.
    pub(super) fn value_at_end(&self) -> Option<i64> {
        match self.condition {
            Condition::Nothing => Some(0),
            Condition::Futex { .. } => Some(-i64::from(Errno::ETIMEDOUT as c_int)),
            Condition::Files(_) | Condition::Signals(_) => None,
        }
    }
}
