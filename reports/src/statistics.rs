//! Medians and how sure of them one can be.
//!
//! Times and sizes are skewed (a start can be ten times slower than usual, never ten times faster), so the
//! figure is the median and its 95 % interval comes from the percentile bootstrap: draw as many samples as
//! there are, with replacement, many times over, and keep the middle 95 % of the medians. The bias-corrected
//! variant (`BCa`) is left alone on purpose: its acceleration term is a jackknife, which is inconsistent for
//! the median (Efron and Tibshirani, *An Introduction to the Bootstrap*, sections 10.6 and 11.7).
//!
//! What is drawn is a whole *round*. Targets of one round ran within moments of each other, so drift of the
//! host hits both sides of a ratio alike, and drawing rounds keeps that pairing. The generator has a fixed
//! seed: the same results file gives the same report.

use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Draws behind every interval; its ends then move by a small part of its width from seed to seed.
const RESAMPLES: usize = 2000;

const SEED: u64 = 0x69_73_6f_62_65_6e_63_68;

/// The fewest rounds with which an interval from resampling can hold the true median 95 times in 100.
///
/// It never leaves the range of the samples, and the median lies outside that with probability 2 / 2ⁿ: 6 % for five.
pub const ROUNDS_FOR_95: usize = 6;

/// A 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Interval {
    /// Half of the width, relative to `centre`.
    pub fn relative_half_width(self, centre: f64) -> f64 {
        (self.high - self.low) / 2.0 / centre.abs()
    }

    /// The middle 95 % of `values`.
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        Some(Self {
            low: quantile(&values, 25)?,
            high: quantile(&values, 975)?,
        })
    }
}

/// The values of one figure, kept by the round in which they were taken.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    rounds: BTreeMap<u32, Vec<f64>>,
}

impl Series {
    /// Collects values with their rounds.
    pub fn new(samples: impl IntoIterator<Item = (u32, f64)>) -> Self {
        let mut series = Self::default();
        for (round, value) in samples {
            series.rounds.entry(round).or_default().push(value);
        }
        series
    }

    /// All values, in the order of their rounds.
    pub fn values(&self) -> impl Iterator<Item = f64> {
        self.rounds.values().flatten().copied()
    }

    /// Number of values.
    pub fn count(&self) -> usize {
        self.rounds.values().map(Vec::len).sum()
    }

    /// The median; nothing if there are no values.
    pub fn median(&self) -> Option<f64> {
        median(&mut self.values().collect::<Vec<_>>())
    }

    /// The 95 % interval of the median; nothing below two values.
    pub fn median_interval(&self) -> Option<Interval> {
        let values: Vec<f64> = self.values().collect();
        if values.len() < 2 {
            return None;
        }
        let units = self.units(&values);
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        let mut drawn = Vec::with_capacity(values.len());
        let medians = (0..RESAMPLES).filter_map(|_| {
            resample(&mut rng, &units, &mut drawn);
            median(&mut drawn)
        });
        Interval::of(medians.collect())
    }

    /// This median over that of `baseline`; nothing unless both are positive.
    pub fn ratio(&self, baseline: &Self) -> Option<f64> {
        ratio(self.median()?, baseline.median()?)
    }

    /// The 95 % interval of [`ratio`](Self::ratio), from rounds drawn for both sides at once if they share at
    /// least two.
    pub fn ratio_interval(&self, baseline: &Self) -> Option<Interval> {
        self.ratio(baseline)?;
        if self.count() < 2 || baseline.count() < 2 {
            return None;
        }
        let shared = self
            .rounds
            .keys()
            .filter(|round| baseline.rounds.contains_key(round))
            .count();
        let ratios = if shared >= 2 {
            self.paired_ratios(baseline)
        } else {
            self.unpaired_ratios(baseline)
        };
        Interval::of(ratios)
            .filter(|interval| interval.low.is_finite() && interval.high.is_finite())
    }

    fn paired_ratios(&self, baseline: &Self) -> Vec<f64> {
        let mut pairs: BTreeMap<u32, (&[f64], &[f64])> = BTreeMap::new();
        for (&round, values) in &self.rounds {
            pairs.entry(round).or_default().0 = values;
        }
        for (&round, values) in &baseline.rounds {
            pairs.entry(round).or_default().1 = values;
        }
        let pairs: Vec<_> = pairs.into_values().collect();
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        let (mut upper, mut lower) = (Vec::new(), Vec::new());
        let draw = |_| {
            upper.clear();
            lower.clear();
            for _ in 0..pairs.len() {
                let (own, base) = pairs[rng.random_range(0..pairs.len())];
                upper.extend_from_slice(own);
                lower.extend_from_slice(base);
            }
            ratio(median(&mut upper)?, median(&mut lower)?)
        };
        (0..RESAMPLES).filter_map(draw).collect()
    }

    fn unpaired_ratios(&self, baseline: &Self) -> Vec<f64> {
        let (own, base): (Vec<f64>, Vec<f64>) =
            (self.values().collect(), baseline.values().collect());
        let (own_units, base_units) = (self.units(&own), baseline.units(&base));
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        let (mut upper, mut lower) = (Vec::new(), Vec::new());
        let draw = |_| {
            resample(&mut rng, &own_units, &mut upper);
            resample(&mut rng, &base_units, &mut lower);
            ratio(median(&mut upper)?, median(&mut lower)?)
        };
        (0..RESAMPLES).filter_map(draw).collect()
    }

    /// What a draw picks from: rounds, or single values if there is only one round.
    fn units<'a>(&'a self, values: &'a [f64]) -> Vec<&'a [f64]> {
        if self.rounds.len() > 1 {
            self.rounds.values().map(Vec::as_slice).collect()
        } else {
            values.chunks(1).collect()
        }
    }
}

fn resample(rng: &mut ChaCha8Rng, units: &[&[f64]], drawn: &mut Vec<f64>) {
    drawn.clear();
    for _ in 0..units.len() {
        drawn.extend_from_slice(units[rng.random_range(0..units.len())]);
    }
}

fn ratio(value: f64, baseline: f64) -> Option<f64> {
    (value > 0.0 && baseline > 0.0).then(|| value / baseline)
}

/// The median of `values`, which it reorders; nothing if there are none.
pub fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let odd = values.len() % 2 == 1;
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if odd {
        return Some(upper);
    }
    let lower = below.iter().copied().max_by(f64::total_cmp)?;
    Some(lower + (upper - lower) / 2.0)
}

/// The quantile of `sorted` at `permille` thousandths, linear between neighbours; nothing if there are no values.
pub fn quantile(sorted: &[f64], permille: usize) -> Option<f64> {
    let position = sorted.len().checked_sub(1)? * permille.min(1000);
    let lower = sorted[position / 1000];
    let upper = sorted.get(position / 1000 + 1).copied().unwrap_or(lower);
    Some(lower + (upper - lower) * ((position % 1000) as f64 / 1000.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn series(values: &[f64]) -> Series {
        Series::new((0..).zip(values.iter().copied()))
    }

    #[test]
    fn median_and_quantiles_of_small_samples() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0]), Some(3.0));
        assert_eq!(median(&mut [9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(quantile(&[], 500), None);
        assert_eq!(quantile(&[1.0, 2.0, 3.0], 0), Some(1.0));
        assert_eq!(quantile(&[1.0, 2.0, 3.0], 750), Some(2.5));
        assert_eq!(quantile(&[1.0, 2.0, 3.0], 1000), Some(3.0));
    }

    #[test]
    fn one_value_has_no_interval() {
        assert_eq!(series(&[1.0]).median_interval(), None);
        assert_eq!(series(&[1.0]).ratio_interval(&series(&[1.0])), None);
        assert_eq!(series(&[]).ratio(&series(&[1.0])), None);
    }

    #[test]
    fn a_single_round_is_resampled_by_its_values() {
        let burst = Series::new([(0, 1.0), (0, 2.0), (0, 3.0), (0, 4.0)]);
        let interval = burst.median_interval().unwrap();
        assert!(interval.low < 2.5 && interval.high > 2.5);
    }

    #[test]
    fn a_ratio_to_nothing_is_none() {
        let zeros = series(&[0.0, 0.0, 0.0]);
        assert_eq!(series(&[1.0, 2.0, 3.0]).ratio(&zeros), None);
        assert_eq!(series(&[1.0, 2.0, 3.0]).ratio_interval(&zeros), None);
    }

    #[test]
    fn pairing_cancels_the_drift_that_both_sides_share() {
        let drift: Vec<f64> = (0..20).map(|round| 1.0 + f64::from(round)).collect();
        let double: Vec<f64> = drift.iter().map(|value| value * 2.0).collect();
        let paired = series(&double).ratio_interval(&series(&drift)).unwrap();
        assert_eq!(
            paired,
            Interval {
                low: 2.0,
                high: 2.0
            }
        );
        let elsewhere = Series::new((100..).zip(double));
        let unpaired = elsewhere.ratio_interval(&series(&drift)).unwrap();
        assert!(unpaired.low < 1.6 && unpaired.high > 2.4, "{unpaired:?}");
    }

    /// A skewed world: the exponential of a roughly normal value, whose true median is 1.
    fn skewed(rng: &mut ChaCha8Rng) -> f64 {
        let sum: f64 = (0..12).map(|_| rng.random_range(0.0..1.0)).sum();
        (sum - 6.0).exp()
    }

    #[test]
    fn intervals_hold_the_truth_about_95_times_in_100() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let trials = 300;
        let (mut medians, mut ratios) = (0, 0);
        for _ in 0..trials {
            let own = Series::new((0..15).map(|round| (round, skewed(&mut rng))));
            let base = Series::new((0..15).map(|round| (round, skewed(&mut rng))));
            let holds = |interval: Interval| interval.low <= 1.0 && interval.high >= 1.0;
            medians += u32::from(holds(own.median_interval().unwrap()));
            ratios += u32::from(holds(own.ratio_interval(&base).unwrap()));
        }
        assert!(
            (0.91..=0.99).contains(&(f64::from(medians) / f64::from(trials))),
            "{medians} of {trials}"
        );
        assert!(
            (0.91..=0.995).contains(&(f64::from(ratios) / f64::from(trials))),
            "{ratios} of {trials}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn the_interval_holds_the_sample_median(values in prop::collection::vec(1.0..1e9_f64, 2..30)) {
            let series = series(&values);
            let (median, interval) = (series.median().unwrap(), series.median_interval().unwrap());
            prop_assert!(interval.low <= median && median <= interval.high);
        }

        #[test]
        fn constant_samples_leave_no_doubt(value in -1e9..1e9_f64, count in 2..30_usize) {
            let interval = series(&vec![value; count]).median_interval().unwrap();
            prop_assert_eq!(interval, Interval { low: value, high: value });
        }

        #[test]
        fn a_change_of_unit_changes_nothing_else(values in prop::collection::vec(1.0..1e9_f64, 2..30)) {
            let scaled: Vec<f64> = values.iter().map(|value| value * 1024.0).collect();
            let (small, large) = (series(&values), series(&scaled));
            let interval = small.median_interval().unwrap();
            let expected = Interval { low: interval.low * 1024.0, high: interval.high * 1024.0 };
            prop_assert_eq!(large.median_interval().unwrap(), expected);
            prop_assert_eq!(large.ratio_interval(&large).unwrap(), small.ratio_interval(&small).unwrap());
        }
    }
}
