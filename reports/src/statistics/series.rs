//! The values of one figure by round, and how they compare with another figure's.

use std::collections::BTreeMap;

use super::{Estimate, Interval, ROUNDS_FOR_95, batches, bootstrap, median, permutation};

/// The fewest paired rounds for which labels change places within rounds.
///
/// With fewer rounds, the smallest possible p-value (2 / 2ⁿ) wouldn't survive the correction for a
/// whole run. Then labels change places among all values, which ignores the pairs. This is no less
/// safe: what the two sides of a round have in common can only hide a difference.
const PAIRS: usize = 14;

/// The values of one figure, kept by the round in which they were taken.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    rounds: BTreeMap<u32, Vec<f64>>,
}

/// How sure a difference is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// How often chance alone shows a difference as large, two-sided, not corrected for other
    /// tests.
    pub p: f64,
    /// The smallest value that `p` could have had with as many samples.
    pub least: f64,
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

    /// The rounds that have values.
    pub fn rounds(&self) -> impl Iterator<Item = u32> {
        self.rounds.keys().copied()
    }

    /// The values of one round.
    pub fn of_round(&self, round: u32) -> &[f64] {
        self.rounds.get(&round).map_or(&[], Vec::as_slice)
    }

    /// The number of values.
    pub fn count(&self) -> usize {
        self.rounds.values().map(Vec::len).sum()
    }

    /// The median; nothing if there are no values.
    pub fn median(&self) -> Option<f64> {
        median(&mut self.values().collect::<Vec<_>>())
    }

    /// The 95 % interval of the median; nothing below two values.
    ///
    /// Several values of one round are not independent, so whole rounds are drawn anew. Rounds that
    /// follow one another aren't independent either if the host was slower for a while; then the
    /// interval is wider.
    pub fn median_interval(&self) -> Option<Interval> {
        let units = self.units();
        let independent = if self.is_clustered() {
            bootstrap::median(&units)?
        } else {
            Interval::of_median(self.values().collect())?
        };
        let drifting = batches::median(&units);
        Some(drifting.map_or(independent, |wide| independent.hull(wide)))
    }

    /// Half the width of the median's 95 % interval, as a part of the median. Nothing if there are
    /// too few values for such an interval, or if the median is 0.
    pub fn relative_half_width(&self) -> Option<f64> {
        let enough = self.count() >= ROUNDS_FOR_95;
        let width = self.median_interval()?.relative_half_width(self.median()?);
        (enough && width.is_finite()).then_some(width)
    }

    /// The median with its interval; nothing if there are no values.
    pub fn estimate(&self) -> Option<Estimate> {
        Some(Estimate {
            value: self.median()?,
            interval: self.median_interval(),
        })
    }

    /// This median over the median of `baseline`; nothing unless both are positive.
    pub fn ratio(&self, baseline: &Self) -> Option<f64> {
        bootstrap::quotient(self.median()?, baseline.median()?)
    }

    /// The 95 % interval of [`ratio`](Self::ratio). The draws take the same rounds for both sides
    /// if the sides share at least two rounds.
    pub fn ratio_interval(&self, baseline: &Self) -> Option<Interval> {
        self.ratio(baseline)?;
        self.compared(baseline, bootstrap::quotient)
    }

    /// [`ratio_interval`](Self::ratio_interval) if each value of both sides may be too high by up to
    /// `period`: a time that was polled. Nothing if a median of `baseline` may be as short as that.
    pub fn ratio_interval_late_by(&self, baseline: &Self, period: f64) -> Option<Interval> {
        self.ratio(baseline)?;
        let lowest = self.compared(baseline, |own, base| shortest_quotient(own, base, period))?;
        let highest = self.compared(baseline, |own, base| {
            Some(longest_quotient(own, base, period))
        })?;
        Some(Interval {
            low: lowest.low,
            high: highest.high,
        })
    }

    /// The 95 % interval of the ratio to the median of *another run*, whose rounds have nothing to
    /// do with these rounds.
    pub fn ratio_interval_to_run(&self, other: &Self) -> Option<Interval> {
        self.ratio(other)?;
        self.drawn_apart(other, bootstrap::quotient)
    }

    /// [`ratio_interval_to_run`](Self::ratio_interval_to_run) if each value of both sides may be too
    /// high by up to `period`.
    pub fn ratio_interval_to_run_late_by(&self, other: &Self, period: f64) -> Option<Interval> {
        self.ratio(other)?;
        let lowest = self.drawn_apart(other, |own, base| shortest_quotient(own, base, period))?;
        let highest =
            self.drawn_apart(other, |own, base| Some(longest_quotient(own, base, period)))?;
        Some(Interval {
            low: lowest.low,
            high: highest.high,
        })
    }

    /// The 95 % interval of this median minus the median of `baseline`, from draws as for ratios.
    pub fn difference_interval(&self, baseline: &Self) -> Option<Interval> {
        self.compared(baseline, |own, base| Some(own - base))
    }

    /// How sure it is that this figure and `baseline`, of the same run, differ. Labels change
    /// places within each round, or among all values if there are few rounds.
    pub fn evidence(&self, baseline: &Self) -> Evidence {
        let pairs = self.pairs(baseline);
        if pairs.len() < PAIRS {
            return self.evidence_to_run(baseline);
        }
        Evidence {
            p: permutation::flipped(&pairs),
            least: permutation::least_of_pairs(pairs.len()),
        }
    }

    /// How sure it is that this figure and a figure of *another run* differ. Labels change places
    /// among all values.
    pub fn evidence_to_run(&self, other: &Self) -> Evidence {
        let (own, others): (Vec<f64>, Vec<f64>) =
            (self.middles().collect(), other.middles().collect());
        Evidence {
            p: permutation::mixed(&own, &others),
            least: permutation::least_of_groups(own.len(), others.len()),
        }
    }

    fn compared(
        &self,
        baseline: &Self,
        compare: impl Fn(f64, f64) -> Option<f64>,
    ) -> Option<Interval> {
        if self.shared(baseline).count() < 2 {
            return self.drawn_apart(baseline, compare);
        }
        let mut pairs: BTreeMap<u32, (&[f64], &[f64])> = BTreeMap::new();
        for (&round, values) in &self.rounds {
            pairs.entry(round).or_default().0 = values;
        }
        for (&round, values) in &baseline.rounds {
            pairs.entry(round).or_default().1 = values;
        }
        bootstrap::paired(&pairs.into_values().collect::<Vec<_>>(), compare)
    }

    fn drawn_apart(
        &self,
        other: &Self,
        compare: impl Fn(f64, f64) -> Option<f64>,
    ) -> Option<Interval> {
        if self.count() < 2 || other.count() < 2 {
            return None;
        }
        bootstrap::apart(&self.units(), &other.units(), compare)
    }

    fn shared<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = u32> + 'a {
        let rounds = self.rounds.keys().copied();
        rounds.filter(|round| other.rounds.contains_key(round))
    }

    /// The medians of both sides in each round that the sides share.
    fn pairs(&self, other: &Self) -> Vec<(f64, f64)> {
        let middle = |series: &Self, round| median(&mut series.rounds.get(&round)?.clone());
        self.shared(other)
            .filter_map(|round| Some((middle(self, round)?, middle(other, round)?)))
            .collect()
    }

    /// The median of each round; the values themselves if there is only one round.
    fn middles(&self) -> impl Iterator<Item = f64> {
        self.units()
            .into_iter()
            .filter_map(|values| median(&mut values.to_vec()))
    }

    fn is_clustered(&self) -> bool {
        self.rounds.len() > 1 && self.rounds.values().any(|values| values.len() > 1)
    }

    /// What a draw picks from: rounds, or single values if there is only one round.
    fn units(&self) -> Vec<&[f64]> {
        let mut rounds = self.rounds.values().map(Vec::as_slice);
        match self.rounds.len() {
            1 => rounds.next().unwrap_or_default().chunks(1).collect(),
            _ => rounds.collect(),
        }
    }
}

/// The quotient if `own` is too high by `period`.
fn shortest_quotient(own: f64, base: f64, period: f64) -> Option<f64> {
    bootstrap::quotient((own - period).max(f64::MIN_POSITIVE), base)
}

/// The quotient if `base` is too high by `period`; without end if `base` may be that short.
fn longest_quotient(own: f64, base: f64, period: f64) -> f64 {
    bootstrap::quotient(own, base - period).unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn series(values: &[f64]) -> Series {
        Series::new((0..).zip(values.iter().copied()))
    }

    #[test]
    fn one_value_has_no_interval() {
        assert_eq!(series(&[1.0]).median_interval(), None);
        assert_eq!(series(&[1.0]).ratio_interval(&series(&[1.0])), None);
        assert_eq!(series(&[]).ratio(&series(&[1.0])), None);
        assert!((series(&[]).evidence(&series(&[1.0])).p - 1.0).abs() < 1e-9);
    }

    #[test]
    fn several_values_of_a_round_are_drawn_together() {
        let burst = Series::new([(0, 1.0), (0, 2.0), (0, 3.0), (0, 4.0)]);
        let interval = burst.median_interval().unwrap();
        assert!(interval.low < 2.5 && interval.high > 2.5);
        // Ten rounds of five values that hardly differ within a round are as sure as ten values,
        // not as fifty.
        let rounds = (0..10_u32).flat_map(|round| {
            (0..5).map(move |value| (round, f64::from(round) + f64::from(value) / 1000.0))
        });
        let interval = Series::new(rounds).median_interval().unwrap();
        assert!(interval.high - interval.low > 3.0, "{interval:?}");
    }

    #[test]
    fn a_ratio_to_nothing_is_none() {
        let zeros = series(&[0.0, 0.0, 0.0]);
        assert_eq!(series(&[1.0, 2.0, 3.0]).ratio(&zeros), None);
        assert_eq!(series(&[1.0, 2.0, 3.0]).ratio_interval(&zeros), None);
        let difference = series(&[1.0, 2.0, 3.0]).difference_interval(&zeros);
        assert!(difference.unwrap().holds(2.0));
    }

    #[test]
    fn pairing_cancels_the_drift_that_both_sides_share() {
        let drift: Vec<f64> = (0..20).map(|round| 1.0 + f64::from(round)).collect();
        let double: Vec<f64> = drift.iter().map(|value| value * 2.0).collect();
        let (own, base) = (series(&double), series(&drift));
        let exactly_two = Interval {
            low: 2.0,
            high: 2.0,
        };
        assert_eq!(own.ratio_interval(&base).unwrap(), exactly_two);
        assert!(own.evidence(&base).p < 1e-5);
        let elsewhere = Series::new((100..).zip(double));
        let unpaired = elsewhere.ratio_interval(&base).unwrap();
        assert!(unpaired.low < 1.6 && unpaired.high > 2.4, "{unpaired:?}");
        assert!(elsewhere.evidence(&base).p > 1e-4);
    }

    #[test]
    fn few_rounds_that_all_differ_are_evidence_enough_for_a_table() {
        let (low, high) = (
            series(&[1.0, 1.1, 1.2, 1.05, 1.15, 1.3, 1.25, 1.01]),
            series(&[2.0; 8]),
        );
        let evidence = low.evidence(&high);
        assert!(evidence.p < 0.0002, "{evidence:?}");
        assert!(series(&[1.0, 1.1]).evidence(&series(&[2.0, 2.1])).least > 0.3);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn the_interval_holds_the_sample_median(values in prop::collection::vec(1.0..1e9_f64, 2..30)) {
            let series = series(&values);
            let (median, interval) = (series.median().unwrap(), series.median_interval().unwrap());
            prop_assert!(interval.holds(median));
        }

        #[test]
        fn a_ratio_of_polled_times_is_less_sure(
            values in prop::collection::vec((10.0..1e3_f64, 10.0..1e3_f64), 2..20), period in 0.0..9.0_f64,
        ) {
            let (own, base): (Vec<f64>, Vec<f64>) = values.into_iter().unzip();
            let (own, base) = (series(&own), series(&base));
            let (sure, late) = (own.ratio_interval(&base).unwrap(), own.ratio_interval_late_by(&base, period).unwrap());
            prop_assert!(late.low <= sure.low && sure.high <= late.high);
            prop_assert_eq!(own.ratio_interval_late_by(&base, 1e3), None);
            let sure = own.ratio_interval_to_run(&base).unwrap();
            let late = own.ratio_interval_to_run_late_by(&base, period).unwrap();
            prop_assert!(late.low <= sure.low && sure.high <= late.high);
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

    #[test]
    fn six_values_have_a_relative_half_width_and_five_have_none() {
        let series = |count: u32| Series::new((0..count).map(|i| (i, 100.0 + f64::from(i))));
        assert_eq!(series(5).relative_half_width(), None);
        let width = series(6).relative_half_width().unwrap();
        assert!((width - 2.5 / 102.5).abs() < 1e-9);
    }
}
