//! How long the single operations of one sample took, as a few percentiles: enough for a curve, and
//! of a bounded size whatever the workload says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The percentiles that are kept, ascending; the last is the longest operation.
pub const PERCENTILES: [f64; 12] = [
    1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 100.0,
];

/// The longest latency that a file may have, in nanoseconds: a hundred days, as for every time in a
/// results file.
const LONGEST: u64 = 100 * 86_400 * 1_000_000_000;

/// The latencies of one sample's operations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Latencies {
    /// The number of operations that were timed singly.
    pub count: u64,
    /// The latency in nanoseconds at each of the percentiles 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.5,
    /// 99.9 and 100, ascending.
    pub nanos: Vec<u64>,
}

impl Latencies {
    /// Whether there is a value for each percentile, and no value is below the one before it.
    pub fn is_sound(&self) -> bool {
        self.count > 0
            && self.nanos.len() == PERCENTILES.len()
            && self.nanos.is_sorted()
            && self.nanos.last().is_some_and(|last| *last <= LONGEST)
    }

    /// The latency in nanoseconds at the percentile of that place in [`PERCENTILES`]; nothing if so
    /// few operations were timed that this percentile is the longest operation.
    pub fn at(&self, place: usize) -> Option<u64> {
        let percent = *PERCENTILES.get(place)?;
        let above = (100.0 - percent) / 100.0 * self.count as f64;
        // A little less than one operation, since the percentage is rounded.
        let is_told = above >= 0.999 || place + 1 == PERCENTILES.len();
        self.nanos.get(place).copied().filter(|_| is_told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latencies(count: u64, nanos: impl Iterator<Item = u64>) -> Latencies {
        Latencies {
            count,
            nanos: nanos.collect(),
        }
    }

    #[test]
    fn what_is_not_a_value_for_each_percentile_in_order_is_unsound() {
        assert!(latencies(1, 1..=12).is_sound());
        assert!(latencies(1, std::iter::repeat_n(0, 12)).is_sound());
        for unsound in [
            latencies(0, 1..=12),
            latencies(1, 1..=11),
            latencies(1, 1..=13),
            latencies(1, (1..=12).rev()),
            latencies(1, (1..=11).chain([u64::MAX])),
        ] {
            assert!(!unsound.is_sound(), "{unsound:?}");
        }
    }

    #[test]
    fn a_percentile_that_only_the_longest_could_be_is_left_out() {
        let known = |count| {
            let latencies = latencies(count, 1..=12);
            let places = (0..PERCENTILES.len()).filter(|place| latencies.at(*place).is_some());
            places.map(|place| PERCENTILES[place]).collect::<Vec<_>>()
        };
        assert_eq!(known(1), [100.0]);
        assert_eq!(known(10)[5..], [75.0, 90.0, 100.0]);
        assert_eq!(known(125)[7..], [95.0, 99.0, 100.0]);
        assert_eq!(known(1000), PERCENTILES);
    }
}
