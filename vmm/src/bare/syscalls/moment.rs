//! A moment of a clock, at which a wait or a timer ends.

use std::time::Duration;

use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};

/// A moment of a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
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

    /// The end of a wait that begins now. The result is `None` if the wait has none.
    pub fn of_timeout(timeout: Option<Duration>) -> Result<Option<Self>, Errno> {
        timeout.map_or(Ok(None), Self::after)
    }

    /// The time until then. The result is zero afterwards.
    pub fn left(&self) -> Duration {
        // The clock was checked when the program named the clock.
        let now = clock_gettime(self.clock).map_or(Duration::MAX, Duration::from);
        self.at.saturating_sub(now)
    }
}
