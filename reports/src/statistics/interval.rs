//! Intervals: how sure a median is.
//!
//! The interval of a median is a pair of order statistics. The binomial distribution with p = 1/2
//! says which pair: a sample lies below the true median as often as a coin shows heads, whatever
//! the distribution is. So the interval holds the truth at least 95 times in 100 for every shape,
//! skewed, bimodal or tied, from six samples on. The percentile bootstrap of a median claims the
//! same and reaches less below some 20 samples (`statistics/coverage.rs` has the figures). Both
//! assume that samples are independent; `statistics/batches.rs` has the interval for samples that
//! aren't.

use std::ops::Range;

use super::order::ranks;
use super::quantile;

/// The fewest samples whose range holds the true median 95 times in 100. All samples lie on one
/// side of the median with probability 2 / 2ⁿ, which is 6 % for five samples.
pub const ROUNDS_FOR_95: usize = 6;

/// A 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Half the width, as a part of `centre`.
    pub fn relative_half_width(self, centre: f64) -> f64 {
        (self.high - self.low) / 2.0 / centre.abs()
    }

    /// Whether `value` lies within the interval.
    pub fn holds(self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// The interval if each value may be too high by up to `period`: a time that was polled. An end
    /// above zero stays at zero or above.
    #[must_use]
    pub fn late_by(self, period: f64) -> Self {
        let low = self.low - period;
        Self {
            low: low.max(self.low.min(0.0)),
            ..self
        }
    }

    /// The smallest interval that holds both intervals.
    pub(super) fn hull(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }

    /// The interval of the median of independent `values`, by order statistics. Below six values
    /// the interval is their range, which is too narrow; below two values there is none.
    pub(super) fn of_median(mut values: Vec<f64>) -> Option<Self> {
        if values.len() < 2 {
            return None;
        }
        values.sort_by(f64::total_cmp);
        Some(Self::between(&values, place(values.len())))
    }

    /// From the value at `place` to the value at the same place from the end of `sorted`.
    pub(super) fn between(sorted: &[f64], place: usize) -> Self {
        Self {
            low: sorted[place],
            high: sorted[sorted.len() - 1 - place],
        }
    }

    /// The middle 95 % of the values that a bootstrap drew.
    pub(super) fn of_draws(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        Some(Self {
            low: quantile(&values, 25)?,
            high: quantile(&values, 975)?,
        })
    }
}

/// The index of the lower end among `count` sorted values; 0 if there are too few values for an
/// interval.
fn place(count: usize) -> usize {
    ranks(count, 500).map_or(0, |(low, _)| low - 1)
}

/// A value with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// The 95 % interval of the value; absent below two rounds.
    pub interval: Option<Interval>,
}

impl Estimate {
    /// From the lower of the value and its interval to the upper of both.
    pub fn extent(self) -> Range<f64> {
        let (low, high) = self.interval.map_or((self.value, self.value), |interval| {
            (interval.low, interval.high)
        });
        low.min(self.value)..high.max(self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_are_those_of_the_tables() {
        // Conover, *Practical Nonparametric Statistics*: the ranks of the ends of a 95 % interval
        // of a median, from 1.
        let tabled = [
            (6, 1),
            (8, 1),
            (9, 2),
            (15, 4),
            (25, 8),
            (50, 18),
            (100, 40),
        ];
        for (count, rank) in tabled {
            assert_eq!(place(count) + 1, rank, "{count}");
        }
        assert_eq!(place(2), 0);
        assert!((84..=87).contains(&place(200)), "{}", place(200));
        assert!((4900..=4903).contains(&place(10_000)), "{}", place(10_000));
    }

    #[test]
    fn few_values_have_their_range_and_one_has_none() {
        let of = |values: &[f64]| Interval::of_median(values.to_vec());
        assert_eq!(of(&[1.0]), None);
        let range = Interval {
            low: 1.0,
            high: 3.0,
        };
        assert_eq!(of(&[3.0, 1.0, 2.0]), Some(range));
        assert!(range.holds(3.0) && !range.holds(3.1));
    }
}
