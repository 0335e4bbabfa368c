//! The host's clocks.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// A reading of the host's `CLOCK_MONOTONIC` (`clock_gettime(2)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonotonicTime(Duration);

impl MonotonicTime {
    /// Reads the clock.
    ///
    /// # Panics
    /// Never on Linux: `CLOCK_MONOTONIC` always exists.
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC always exists");
        Self(Duration::from(now))
    }

    /// The reading that is `nanoseconds` after the clock's zero.
    pub const fn from_nanos(nanoseconds: u64) -> Self {
        Self(Duration::from_nanos(nanoseconds))
    }

    /// The nanoseconds from the clock's zero to this reading.
    pub const fn as_nanos(self) -> u128 {
        self.0.as_nanos()
    }

    /// Spins until `delay` has passed since this reading. The processor stays busy, as with an
    /// instance's own work.
    pub fn busy_wait(self, delay: Duration) {
        while !delay.is_zero() && Self::now().0 < self.0 + delay {
            std::hint::spin_loop();
        }
    }

    /// The time from `earlier` to `self`, or `None` if `earlier` is later.
    pub fn since(self, earlier: Self) -> Option<Duration> {
        self.0.checked_sub(earlier.0)
    }
}

/// The wall clock's reading minus the monotonic clock's, in nanoseconds. The difference changes
/// when somebody sets the wall clock, or when the host sleeps.
///
/// # Panics
/// Never on Linux: both clocks always exist.
pub fn wall_clock_offset() -> i64 {
    // Of five readings, the best has the least time between reading one clock and the other.
    let read = || {
        let before = MonotonicTime::now();
        let wall = clock_gettime(ClockId::CLOCK_REALTIME).expect("CLOCK_REALTIME always exists");
        let after = MonotonicTime::now();
        let nanoseconds = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        let middle = nanoseconds((before.0 + after.0) / 2);
        (
            after.0.abs_diff(before.0),
            nanoseconds(Duration::from(wall)) - middle,
        )
    };
    let readings = std::iter::repeat_with(read).take(5);
    readings.min().map_or(0, |(_, offset)| offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_wait_lasts_as_long_as_its_delay() {
        let start = MonotonicTime::now();
        start.busy_wait(Duration::from_millis(2));
        assert!(MonotonicTime::now().since(start).unwrap() >= Duration::from_millis(2));
    }

    #[test]
    fn two_readings_of_the_offset_are_close() {
        let difference = wall_clock_offset().abs_diff(wall_clock_offset());
        assert!(difference < 10_000_000, "{difference}");
    }
}
