//! Sums and differences of medians, all drawn from the same rounds.
//!
//! A price is the median with a mechanism minus the median without. Both were measured in the same
//! rounds, so each draw of the bootstrap takes the same rounds for both, as for ratios
//! ([`super::bootstrap`]). One set of draws serves all prices of a list. So the prices and the rest
//! that they leave of the whole add up in every draw.

use std::collections::BTreeSet;

use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;

use super::bootstrap::{RESAMPLES, SEED, choose};
use super::resample::Rounds;
use super::{Estimate, Interval, Series};

/// The medians of several series, and the medians of many draws of their rounds.
#[derive(Debug)]
pub struct Joint {
    medians: Vec<f64>,
    draws: Vec<Vec<f64>>,
}

impl Joint {
    /// Draws the rounds of `series`; nothing if a series has no values.
    pub fn of(series: &[&Series]) -> Option<Self> {
        let medians = series
            .iter()
            .map(|series| series.median())
            .collect::<Option<_>>()?;
        let rounds: BTreeSet<u32> = series.iter().flat_map(|series| series.rounds()).collect();
        let mut all: Vec<Rounds> = series
            .iter()
            .map(|series| {
                let units = rounds.iter().map(|round| series.of_round(*round));
                Rounds::of(&units.collect::<Vec<_>>())
            })
            .collect();
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        let mut chosen = Vec::new();
        let mut draw = |_| {
            choose(&mut rng, rounds.len(), &mut chosen);
            for series in &mut all {
                series.draw(&chosen);
            }
            // Every median is taken, since the next draw has to begin with empty counts. A draw in
            // which some series has no value is left out.
            let medians: Vec<_> = all.iter_mut().map(Rounds::take_median).collect();
            medians.into_iter().collect::<Option<Vec<f64>>>()
        };
        let draws = if rounds.len() < 2 { 0 } else { RESAMPLES };
        Some(Self {
            medians,
            draws: (0..draws).filter_map(&mut draw).collect(),
        })
    }

    /// The sum of the medians of some series, each times its weight. A term is a series, by its
    /// place, and its weight.
    pub fn sum(&self, terms: &[(usize, f64)]) -> Estimate {
        let of = |medians: &[f64]| {
            let terms = terms.iter();
            terms.map(|(place, weight)| medians[*place] * weight).sum()
        };
        Estimate {
            value: of(&self.medians),
            interval: Interval::of_draws(self.draws.iter().map(|draw| of(draw)).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn series(values: &[f64]) -> Series {
        Series::new((0..).zip(values.iter().copied()))
    }

    #[test]
    fn what_a_drift_adds_to_both_leaves_no_doubt_of_the_difference() {
        let drift: Vec<f64> = (0..20).map(f64::from).collect();
        let dearer: Vec<f64> = drift.iter().map(|value| value + 3.0).collect();
        let (base, with) = (series(&drift), series(&dearer));
        let joint = Joint::of(&[&base, &with]).unwrap();
        let price = joint.sum(&[(1, 1.0), (0, -1.0)]);
        let expected = Estimate {
            value: 3.0,
            interval: Some(Interval {
                low: 3.0,
                high: 3.0,
            }),
        };
        assert_eq!(price, expected);
    }

    #[test]
    fn a_price_of_nothing_has_an_interval_around_it() {
        let (one, other) = (
            [5.0, 9.0, 6.0, 8.0, 7.0, 5.5],
            [8.0, 5.0, 7.0, 9.0, 6.0, 7.5],
        );
        let (one, other) = (series(&one), series(&other));
        let joint = Joint::of(&[&one, &other]).unwrap();
        let interval = joint.sum(&[(0, 1.0), (1, -1.0)]).interval.unwrap();
        assert!(interval.low < 0.0 && interval.high > 0.0, "{interval:?}");
    }

    #[test]
    fn nothing_comes_of_nothing_and_no_interval_of_one_round() {
        assert!(Joint::of(&[&series(&[1.0]), &series(&[])]).is_none());
        let one = series(&[2.0]);
        let estimate = Joint::of(&[&one]).unwrap().sum(&[(0, 2.0)]);
        assert_eq!((estimate.value, estimate.interval), (4.0, None));
    }

    #[test]
    fn rounds_in_which_one_failed_cost_only_themselves() {
        let whole = series(&[1.0, 2.0, 3.0, 4.0]);
        let holed = Series::new([(0, 11.0), (3, 14.0)]);
        let joint = Joint::of(&[&whole, &holed]).unwrap();
        let price = joint.sum(&[(1, 1.0), (0, -1.0)]);
        assert_eq!(Some(price.value), Some(10.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn a_difference_is_as_sure_as_it_is_elsewhere(values in prop::collection::vec((1.0..1e9_f64, 1.0..1e9_f64), 2..20)) {
            let (own, base): (Vec<f64>, Vec<f64>) = values.into_iter().unzip();
            let (own, base) = (series(&own), series(&base));
            let price = Joint::of(&[&own, &base]).unwrap().sum(&[(0, 1.0), (1, -1.0)]);
            prop_assert_eq!(price.interval, own.difference_interval(&base));
        }

        #[test]
        fn parts_and_rest_add_up(values in prop::collection::vec((1.0..1e6_f64, 1.0..1e6_f64, 1.0..1e6_f64), 2..20)) {
            let of = |pick: fn(&(f64, f64, f64)) -> f64| series(&values.iter().map(pick).collect::<Vec<_>>());
            let (none, one, all) = (of(|v| v.0), of(|v| v.1), of(|v| v.2));
            let joint = Joint::of(&[&none, &one, &all]).unwrap();
            let price = joint.sum(&[(1, 1.0), (0, -1.0)]).value;
            let rest = joint.sum(&[(2, 1.0), (0, -1.0), (1, -1.0), (0, 1.0)]).value;
            let whole = joint.sum(&[(0, 1.0)]).value + price + rest;
            prop_assert!((whole - all.median().unwrap()).abs() < 1e-6);
        }
    }
}
