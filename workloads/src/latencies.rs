//! Latencies of single operations, as a histogram that fits in one line of the protocol.
//!
//! A workload may record millions of latencies inside its timed window. So recording must cost only
//! nanoseconds, and must not need more memory each time: an HDR histogram with fixed bounds does
//! that. With two significant digits a value is exact to 1 %, and the line of any histogram is
//! shorter than [`MAX_LINE`](crate::protocol::MAX_LINE).

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest latency that is told apart: 2^36 ns, a little over a minute. A longer latency counts
/// as this one.
pub const LONGEST: Duration = Duration::from_nanos(LONGEST_NANOS);
const LONGEST_NANOS: u64 = (1 << 36) - 1;

/// Significant decimal digits that a value keeps.
const DIGITS: u8 = 2;

/// The latencies of many operations of one kind.
#[derive(Clone, PartialEq)]
pub struct Latencies {
    nanos: Histogram<u64>,
}

impl Eq for Latencies {}

impl Latencies {
    /// A histogram without any latency. It allocates all the memory that it will ever need.
    ///
    /// # Panics
    /// Never: the bounds are constants that the histogram accepts.
    pub fn new() -> Self {
        let nanos = Histogram::new_with_bounds(1, LONGEST_NANOS, DIGITS)
            .expect("the histogram's bounds are valid constants");
        Self { nanos }
    }

    /// Records one latency.
    pub fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(LONGEST_NANOS);
        self.nanos.saturating_record(nanos);
    }

    /// Records `count` latencies of `nanos` nanoseconds; `None` if the latency or the sum of all
    /// counts is out of range.
    pub(crate) fn record_nanos(&mut self, nanos: u64, count: u64) -> Option<()> {
        if nanos > LONGEST_NANOS {
            return None;
        }
        self.count().checked_add(count)?;
        self.nanos.record_n(nanos, count).ok()
    }

    /// How many latencies were recorded.
    pub fn count(&self) -> u64 {
        self.nanos.len()
    }

    /// The shortest latency; `None` if no latency was recorded.
    pub fn min(&self) -> Option<Duration> {
        (self.count() > 0).then(|| self.middle(self.nanos.min()))
    }

    /// The longest latency; `None` if no latency was recorded.
    pub fn max(&self) -> Option<Duration> {
        (self.count() > 0).then(|| self.middle(self.nanos.max()))
    }

    /// The smallest value that at least `percent` % of all latencies do not exceed; `None` if no
    /// latency was recorded. `percent` is clamped to 0 to 100.
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        let value = self.nanos.value_at_percentile(percent.clamp(0.0, 100.0));
        (self.count() > 0).then(|| self.middle(value))
    }

    /// Every distinct value in nanoseconds, ascending, with its count.
    pub(crate) fn values(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.nanos.iter_recorded().map(|step| {
            let value = self.nanos.median_equivalent(step.value_iterated_to());
            (value, step.count_at_value())
        })
    }

    /// The middle of the histogram's bucket around `nanos`. The bucket's upper end would be too
    /// high for most of its values.
    fn middle(&self, nanos: u64) -> Duration {
        Duration::from_nanos(self.nanos.median_equivalent(nanos))
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Latencies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Latencies")
            .field("count", &self.count())
            .field("min", &self.min())
            .field("median", &self.percentile(50.0))
            .field("max", &self.max())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{MAX_LINE, Message};
    use proptest::prelude::*;

    #[test]
    fn no_latency_has_no_percentile() {
        let none = Latencies::new();
        assert_eq!(none.count(), 0);
        assert_eq!(
            (none.min(), none.max(), none.percentile(50.0)),
            (None, None, None)
        );
    }

    #[test]
    fn a_percentile_is_the_value_of_that_rank() {
        let mut latencies = Latencies::new();
        for micros in 1..=100 {
            latencies.record(Duration::from_micros(micros));
        }
        for (percent, micros) in [
            (1.0, 1.0),
            (50.0, 50.0),
            (99.0, 99.0),
            (100.0, 100.0),
            (200.0, 100.0),
        ] {
            let value = latencies.percentile(percent).unwrap().as_secs_f64() * 1e6;
            assert!(
                (value / micros - 1.0).abs() < 0.01,
                "p{percent} is {value} us"
            );
        }
    }

    #[test]
    fn a_latency_beyond_the_range_counts_as_the_longest() {
        let mut latencies = Latencies::new();
        latencies.record(Duration::MAX);
        latencies.record(Duration::ZERO);
        assert_eq!(latencies.count(), 2);
        assert_eq!(latencies.min(), Some(Duration::ZERO));
        assert!(latencies.max().unwrap().as_secs_f64() > LONGEST.as_secs_f64() * 0.99);
    }

    #[test]
    fn the_line_of_a_full_histogram_is_within_the_limit() {
        let mut latencies = Latencies::new();
        let mut nanos = 0;
        while nanos <= LONGEST_NANOS {
            latencies.record_nanos(nanos, 1000).unwrap();
            nanos = latencies.nanos.next_non_equivalent(nanos);
        }
        let line = Message::Latencies(latencies).to_string();
        assert!(line.len() < MAX_LINE, "{} bytes", line.len());
    }

    proptest! {
        #[test]
        fn every_latency_is_exact_to_one_percent(nanos in 1..=LONGEST_NANOS) {
            let mut latencies = Latencies::new();
            latencies.record(Duration::from_nanos(nanos));
            let kept = latencies.min().unwrap().as_secs_f64() * 1e9;
            prop_assert!((kept / nanos as f64 - 1.0).abs() <= 0.01);
        }
    }
}
