//! A timer whose expirations are read from a file (`timerfd_create(2)`).

use std::time::Duration;

use nix::libc;
use nix::time::ClockId;

use super::super::alarm::Alarm;
use super::Readiness;

/// A timer.
#[derive(Debug)]
pub(in crate::bare::syscalls) struct TimerFile {
    /// The timer's clock.
    pub clock: ClockId,
    /// When the timer expires.
    pub alarm: Alarm,
    /// The expirations that were not read yet.
    unread: u64,
    expirations: u64,
}

impl TimerFile {
    pub fn new(clock: ClockId) -> Self {
        Self {
            clock,
            alarm: Alarm::default(),
            unread: 0,
            expirations: 0,
        }
    }

    /// Sets the timer anew. What was not read is forgotten.
    pub fn set(&mut self, alarm: Alarm) {
        self.alarm = alarm;
        self.unread = 0;
    }

    /// Counts the expirations up to now, and returns how many were new.
    pub fn look(&mut self) -> u64 {
        let expired = self.alarm.expire();
        self.unread = self.unread.saturating_add(expired);
        self.expirations = self.expirations.saturating_add(expired);
        expired
    }

    /// The time until the next expiration, if there is one.
    pub fn left(&self) -> Option<Duration> {
        self.alarm.left()
    }

    /// Takes the number of expirations. The result is `None` if there was none.
    pub fn take(&mut self) -> Option<u64> {
        self.look();
        let taken = std::mem::take(&mut self.unread);
        (taken > 0).then_some(taken)
    }

    /// The readiness, as of the last [`Self::look`].
    pub fn readiness(&self) -> Readiness {
        let is_due = self.unread > 0 || self.alarm.is_due();
        Readiness {
            events: if is_due {
                libc::POLLIN | libc::POLLRDNORM
            } else {
                0
            },
            edge: self.expirations,
        }
    }
}
