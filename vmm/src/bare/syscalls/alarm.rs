//! A moment that comes once or over and over: what timers are made of.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::moment::End;

/// When a timer expires.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Alarm {
    next: Option<End>,
    interval: Duration,
}

impl Alarm {
    /// An alarm after `first`, and then every `interval`. A `first` of zero is never, and an
    /// `interval` of zero is no second time.
    pub fn after(clock: ClockId, first: Duration, interval: Duration) -> Self {
        let now = clock_gettime(clock).map_or(Duration::ZERO, Duration::from);
        let at = now.checked_add(first).filter(|_| !first.is_zero());
        Self {
            next: at.map(|at| End { clock, at }),
            interval,
        }
    }

    /// An alarm at the moment `first` of the clock.
    pub fn at(clock: ClockId, first: Duration, interval: Duration) -> Self {
        let next = Some(End { clock, at: first }).filter(|_| !first.is_zero());
        Self { next, interval }
    }

    /// The time until the next expiration, if there is one.
    pub fn left(&self) -> Option<Duration> {
        self.next.map(|next| next.left())
    }

    /// The time between two expirations.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Whether an expiration is due.
    pub fn is_due(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// The number of expirations up to now that were not counted yet.
    pub fn expire(&mut self) -> u64 {
        let Some(next) = self.next.filter(|_| self.is_due()) else {
            return 0;
        };
        if self.interval.is_zero() {
            self.next = None;
            return 1;
        }
        let now = clock_gettime(next.clock).map_or(next.at, Duration::from);
        let late = now.saturating_sub(next.at);
        let more = late.as_nanos() / self.interval.as_nanos().max(1);
        let expired = u64::try_from(more)
            .unwrap_or(u64::MAX - 1)
            .saturating_add(1);
        let passed = u32::try_from(expired).ok();
        let at = passed
            .and_then(|passed| self.interval.checked_mul(passed))
            .and_then(|passed| next.at.checked_add(passed))
            .unwrap_or(now);
        self.next = Some(End { at, ..next });
        expired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;

    #[test]
    fn a_single_alarm_comes_once() {
        let mut alarm = Alarm::at(CLOCK, Duration::from_nanos(1), Duration::ZERO);
        assert!(alarm.is_due());
        assert_eq!((alarm.expire(), alarm.expire()), (1, 0));
        assert_eq!(alarm.left(), None);
    }

    #[test]
    fn missed_expirations_are_counted_and_the_next_lies_ahead() {
        let now = Duration::from(clock_gettime(CLOCK).unwrap());
        let hour = Duration::from_hours(1);
        let mut alarm = Alarm::at(CLOCK, now, hour);
        assert_eq!(alarm.expire(), 1);
        assert!(alarm.left().unwrap() <= hour && !alarm.is_due());
        let mut late = Alarm::at(
            CLOCK,
            now.saturating_sub(Duration::from_micros(10)),
            Duration::from_micros(1),
        );
        assert!(late.expire() >= 11);
    }

    #[test]
    fn a_time_of_zero_is_never() {
        let interval = Duration::from_secs(1);
        assert_eq!(Alarm::after(CLOCK, Duration::ZERO, interval).left(), None);
        assert_eq!(Alarm::at(CLOCK, Duration::ZERO, interval).left(), None);
    }
}
