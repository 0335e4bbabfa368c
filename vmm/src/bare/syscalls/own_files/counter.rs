//! A counter (eventfd(2)).

use nix::libc::{self, c_short};

use super::Readiness;

/// The greatest value.
const MOST: u64 = u64::MAX - 1;

/// A counter.
#[derive(Debug)]
pub(in crate::bare::syscalls) struct Counter {
    value: u64,
    /// Whether a read takes one and not all (`EFD_SEMAPHORE`).
    takes_one: bool,
    changes: u64,
}

impl Counter {
    pub fn new(value: u64, takes_one: bool) -> Self {
        Self {
            value,
            takes_one,
            changes: 0,
        }
    }

    /// Takes what a read gives. The result is `None` if the counter is 0.
    pub fn take(&mut self) -> Option<u64> {
        let taken = if self.takes_one {
            self.value.min(1)
        } else {
            self.value
        };
        self.value -= taken;
        self.changes += u64::from(taken > 0);
        (taken > 0).then_some(taken)
    }

    /// Adds a number, and tells whether there was room for it.
    pub fn add(&mut self, number: u64) -> bool {
        let fits = number <= MOST - self.value;
        if fits {
            self.value += number;
            self.changes += 1;
        }
        fits
    }

    pub fn readiness(&self) -> Readiness {
        let mut events: c_short = 0;
        if self.value > 0 {
            events |= libc::POLLIN | libc::POLLRDNORM;
        }
        if self.value < MOST {
            events |= libc::POLLOUT | libc::POLLWRNORM;
        }
        Readiness {
            events,
            edge: self.changes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_takes_all_or_one() {
        let mut all = Counter::new(3, false);
        assert!(all.add(4));
        assert_eq!((all.take(), all.take()), (Some(7), None));
        let mut one = Counter::new(2, true);
        assert_eq!(
            (one.take(), one.take(), one.take()),
            (Some(1), Some(1), None)
        );
    }

    #[test]
    fn a_full_counter_takes_no_more() {
        let mut counter = Counter::new(0, false);
        assert!(counter.add(MOST));
        assert!(!counter.add(1));
        assert_eq!(counter.readiness().events & libc::POLLOUT, 0);
    }
}
