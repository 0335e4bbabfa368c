//! The interval of a median whose values are not independent, because the host was slower for a
//! while.
//!
//! Rounds that follow one another find the host in the same state. An interval that takes such
//! rounds for independent is too narrow: if the states of the host differ as much as single rounds
//! do, such an interval holds the truth 50 times in 100, and the interval of this module 97 times
//! (`coverage.rs`).
//!
//! The rounds are cut into consecutive batches, each so long that a batch tells next to nothing of
//! the following batch (the batch means of simulation: Law, *Simulation Modeling and Analysis*,
//! section 9.5.3). The share of values below the median varies from batch to batch, and this
//! variation gives an interval of the share. The order statistics at the ends of that interval are
//! the ends of the median's interval (Woodruff, *Confidence Intervals for Medians and Other
//! Position Measures*, JASA 47, 1952).

use statrs::distribution::{ContinuousCDF as _, StudentsT};
use statrs::statistics::Statistics as _;

use super::{Interval, median as middle};

/// The number of batches: as many as an experiment has turns in a run.
const BATCHES: usize = 8;

/// The fewest rounds of a batch.
const LEAST: usize = 3;

/// The interval of the median of the values in `rounds`, which stand in the order in which they
/// were taken. Nothing if there are too few rounds for batches.
pub fn median(rounds: &[&[f64]]) -> Option<Interval> {
    let batches = cut(rounds)?;
    let mut values = rounds.concat();
    let middle = middle(&mut values)?;
    let shares = batches.map(|batch| share_below(middle, batch));
    let margin = margin(&shares.collect::<Vec<_>>())?;
    values.sort_by(f64::total_cmp);
    let count = values.len();
    let below = (0.5 - margin) * count as f64;
    let ranks = (1..=count / 2).take_while(|rank| *rank as f64 <= below);
    Some(Interval::between(&values, ranks.count().saturating_sub(1)))
}

/// The rounds in consecutive batches. Nothing if there are too few rounds for batches.
pub fn cut<T>(rounds: &[T]) -> Option<impl Iterator<Item = &[T]>> {
    let end = |batch: usize| batch * rounds.len() / BATCHES;
    let batches = (0..BATCHES).map(move |batch| &rounds[end(batch)..end(batch + 1)]);
    (rounds.len() >= BATCHES * LEAST).then_some(batches)
}

/// The part of the values below `middle`; a value that equals `middle` counts half.
fn share_below(middle: f64, rounds: &[&[f64]]) -> f64 {
    let values = || rounds.iter().copied().flatten();
    let below = values().filter(|value| **value < middle).count();
    let equal = values().filter(|value| **value <= middle).count() - below;
    (below as f64 + equal as f64 / 2.0) / values().count() as f64
}

/// Half the width of the 95 % interval of the mean of `shares`, by Student's t.
fn margin(shares: &[f64]) -> Option<f64> {
    let count = shares.len() as f64;
    let student = StudentsT::new(0.0, 1.0, count - 1.0).ok()?;
    Some(student.inverse_cdf(0.975) * shares.std_dev() / count.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(values: &[f64]) -> Option<Interval> {
        median(&values.chunks(1).collect::<Vec<_>>())
    }

    #[test]
    fn few_rounds_make_no_batches() {
        assert_eq!(interval(&[1.0; 23]), None);
        assert!(interval(&[1.0; 24]).is_some());
    }

    #[test]
    fn the_same_values_are_less_sure_in_a_worse_order() {
        let mixed: Vec<f64> = (0..80).map(|index| f64::from(index * 37 % 80)).collect();
        let mut drifting = mixed.clone();
        drifting.sort_by(f64::total_cmp);
        let [mixed, drifting] = [mixed, drifting].map(|values| interval(&values).unwrap());
        assert!(mixed.low > 30.0 && mixed.high < 49.0, "{mixed:?}");
        // Half of the batches lie below the median, half above: a share of 0.5 ± 0.45.
        assert!(drifting.low < 5.0 && drifting.high > 74.0, "{drifting:?}");
    }

    #[test]
    fn equal_values_have_an_interval_of_no_width() {
        let same = interval(&[7.0; 40]).unwrap();
        assert_eq!((same.low, same.high), (7.0, 7.0));
    }
}
