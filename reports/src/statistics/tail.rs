//! Quantiles far from the middle, and how sure they are.
//!
//! A quantile is the least value with at least that share of the values at or below it: the order
//! statistic of rank ⌈qn⌉, which is definition 1 of Hyndman and Fan (*Sample Quantiles in
//! Statistical Packages*, The American Statistician 50, 1996). So it is always a value that was
//! measured.
//!
//! Its interval is a pair of order statistics, as the median's is ([`super::order`]). With too few
//! values there is no interval, since no value measured is large enough for its upper end. How many
//! values more it takes is told instead.

use super::effective::{self, Round};
use super::order::{least, ranks};
use super::{Interval, Series};

/// A quantile of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tail {
    /// The quantile.
    pub value: f64,
    /// How sure the quantile is.
    pub bounds: Bounds,
}

/// How sure a quantile is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bounds {
    /// The 95 % interval.
    Within(Interval),
    /// There are too few values for an interval, and it takes so many more.
    Needs(usize),
    /// There is one round with several values. Nobody knows how these depend on each other.
    NeedsRounds,
}

impl Bounds {
    /// The interval, if there is one.
    pub fn interval(self) -> Option<Interval> {
        match self {
            Self::Within(interval) => Some(interval),
            Self::Needs(_) | Self::NeedsRounds => None,
        }
    }
}

impl Tail {
    /// The quantile of `series` at so many thousandths, above 0 and below 1000; nothing if the
    /// series has no values.
    pub fn of(series: &Series, permille: usize) -> Option<Self> {
        let mut sorted: Vec<f64> = series.values().collect();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * permille).div_ceil(1000);
        let value = *sorted.get(rank.checked_sub(1)?)?;
        let bounds = bounds(series, &sorted, permille, value);
        Some(Self { value, bounds })
    }

    /// The quantile if each value may be too high by up to `period`.
    #[must_use]
    pub fn late_by(self, period: f64) -> Self {
        let bounds = match self.bounds {
            Bounds::Within(interval) => Bounds::Within(interval.late_by(period)),
            none => none,
        };
        Self { bounds, ..self }
    }
}

fn bounds(series: &Series, sorted: &[f64], permille: usize, value: f64) -> Bounds {
    let middle = sorted[sorted.len() / 2];
    let [Some(in_tail), Some(in_middle)] = [value, middle].map(|limit| independent(series, limit))
    else {
        return Bounds::NeedsRounds;
    };
    // Few values lie in the tail, and they may look independent by chance alone. The middle shows
    // far more surely that values depend on each other.
    let number = in_tail.min(in_middle);
    let count = sorted.len();
    let Some((low, high)) = ranks(number, permille) else {
        // Further values depend on each other as much as those that there are.
        let needed = (least(permille) * count).div_ceil(number.max(1));
        return Bounds::Needs(needed.saturating_sub(count).max(1));
    };
    // A rank among the effective number stands for the same share of all values.
    let low = low * (count + 1) / (number + 1);
    let high = (high * (count + 1)).div_ceil(number + 1);
    Bounds::Within(Interval {
        low: sorted[low - 1].min(value),
        high: sorted[high - 1].max(value),
    })
}

/// The number of independent values that tell as much of the share at or below `limit` as the
/// series does.
fn independent(series: &Series, limit: f64) -> Option<usize> {
    let rounds = series.rounds().map(|round| {
        let values = series.of_round(round);
        Round {
            of_kind: values.iter().filter(|one| **one <= limit).count(),
            all: values.len(),
        }
    });
    effective::number(&rounds.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn series(values: &[f64]) -> Series {
        Series::new((0..).zip(values.iter().copied()))
    }

    /// The whole numbers from 1 in an order in which nothing depends on its neighbours.
    fn mixed(count: u32) -> Vec<f64> {
        (0..count)
            .map(|index| f64::from(index * 37 % count + 1))
            .collect()
    }

    #[test]
    fn so_many_values_are_needed() {
        // The least n with 1 - qⁿ - (1-q)ⁿ ≥ 0.95: Conover, table A6, has 59 and 299 for one end.
        assert_eq!([500, 950, 990].map(least), [6, 59, 299]);
        for (permille, needed) in [(950, 59), (990, 299)] {
            let bounds = |count| Tail::of(&series(&mixed(count)), permille).unwrap().bounds;
            assert_eq!(bounds(needed - 1), Bounds::Needs(1));
            assert!(matches!(bounds(needed), Bounds::Within(_)));
            assert_eq!(bounds(20), Bounds::Needs(needed as usize - 20));
        }
    }

    #[test]
    fn a_quantile_is_the_least_value_with_its_share_at_or_below_it() {
        for (count, permille, expected) in [
            (100, 950, 95.0),
            (100, 990, 99.0),
            (101, 950, 96.0),
            (20, 950, 19.0),
            (3, 990, 3.0),
        ] {
            let tail = Tail::of(&series(&mixed(count)), permille).unwrap();
            assert!((tail.value - expected).abs() < 1e-9, "{tail:?}");
        }
        assert_eq!(Tail::of(&series(&[]), 950), None);
    }

    #[test]
    fn a_round_of_several_values_counts_as_one_if_they_are_alike() {
        let rounds = |rounds: u32| {
            Series::new(
                mixed(rounds)
                    .into_iter()
                    .zip(0..)
                    .flat_map(|(value, round)| {
                        (0..10).map(move |index| (round, value + f64::from(index) / 100.0))
                    }),
            )
        };
        let bounds = |count| Tail::of(&rounds(count), 950).unwrap().bounds;
        // All values over the quantile are of the same rounds.
        assert!(
            matches!(bounds(20), Bounds::Needs(350..=450)),
            "{:?}",
            bounds(20)
        );
        assert!(matches!(bounds(80), Bounds::Within(_)));
        assert_eq!(bounds(1), Bounds::NeedsRounds);
    }

    proptest! {
        #[test]
        fn ends_are_in_order_and_lateness_moves_the_low_end_alone(
            values in prop::collection::vec(1.0..1e9_f64, 1..400), several in 1..5_usize, late in 0.0..1e9_f64,
        ) {
            let values = (0..).zip(values.chunks(several));
            let series = Series::new(values.flat_map(|(round, values)| values.iter().map(move |one| (round, *one))));
            for permille in [500, 950, 990] {
                let tail = Tail::of(&series, permille).unwrap();
                let Some(interval) = tail.bounds.interval() else { continue };
                prop_assert!(interval.low <= tail.value && tail.value <= interval.high);
                let wide = tail.late_by(late).bounds.interval().unwrap();
                prop_assert!(0.0 <= wide.low && wide.low <= interval.low);
                prop_assert_eq!(wide.high.to_bits(), interval.high.to_bits());
                prop_assert!(interval.low - wide.low <= late + 1e-6);
            }
        }
    }
}
