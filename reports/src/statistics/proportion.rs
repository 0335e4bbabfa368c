//! A share of trials that succeeded, and how sure the share is.
//!
//! The interval is the exact one of Clopper and Pearson (*The Use of Confidence or Fiducial Limits
//! Illustrated in the Case of the Binomial*, Biometrika 26, 1934). It holds the truth at least 95
//! times in 100 for every share and every number of trials. Trials of one round aren't independent,
//! so the interval is that of their effective number ([`super::effective`]).

use statrs::distribution::{Beta, ContinuousCDF as _};

use super::Interval;
use super::effective::{self, Round};

/// How many trials succeeded, of how many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proportion {
    /// The number of trials that succeeded.
    pub successes: usize,
    /// The number of trials, at least one.
    pub trials: usize,
    /// The share of trials that succeeded.
    pub share: f64,
    /// The 95 % interval of the share; absent if there is one round with several trials, which
    /// depend on each other.
    pub interval: Option<Interval>,
}

impl Proportion {
    /// The trials of all `rounds`, in order; nothing if there was no trial. The kind of a round is
    /// success.
    pub fn of(rounds: &[Round]) -> Option<Self> {
        let sum = |of: fn(&Round) -> usize| rounds.iter().map(of).sum::<usize>();
        let (successes, trials) = (sum(|round| round.of_kind), sum(|round| round.all));
        if trials == 0 {
            return None;
        }
        let share = successes as f64 / trials as f64;
        let effective = effective::number(rounds).map(|number| number as f64);
        Some(Self {
            successes,
            trials,
            share,
            interval: effective.and_then(|trials| exact(share * trials, trials)),
        })
    }
}

/// The exact interval of a share of independent trials. The number of successes needn't be whole.
fn exact(successes: f64, trials: f64) -> Option<Interval> {
    let end = |of_kind: f64, others: f64, p: f64| {
        let shares = Beta::new(of_kind, others).ok()?;
        Some(shares.inverse_cdf(p))
    };
    let failures = trials - successes;
    let low = if successes > 0.0 {
        end(successes, failures + 1.0, 0.025)?
    } else {
        0.0
    };
    let high = if failures > 0.0 {
        end(successes + 1.0, failures, 0.975)?
    } else {
        1.0
    };
    Some(Interval { low, high })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One trial a round, with failures evenly between successes.
    fn single(failures: usize, trials: usize) -> Proportion {
        let round = |trial: usize| Round {
            of_kind: usize::from((trial + 1) * failures / trials == trial * failures / trials),
            all: 1,
        };
        Proportion::of(&(0..trials).map(round).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_ends_are_those_of_the_tables() {
        // Newcombe, Two-Sided Confidence Intervals for the Single Proportion, Statistics in
        // Medicine 17, 1998, table I, method 5.
        let tabled = [
            (81.0, 263.0, 0.2527, 0.3676),
            (15.0, 148.0, 0.0578, 0.1617),
            (0.0, 20.0, 0.0, 0.1684),
            (1.0, 29.0, 0.0009, 0.1776),
        ];
        for (successes, trials, low, high) in tabled {
            let interval = exact(successes, trials).unwrap();
            let is_close = |end: f64, tabled: f64| (end - tabled).abs() < 6e-5;
            assert!(is_close(interval.low, low), "{successes}: {interval:?}");
            assert!(is_close(interval.high, high), "{successes}: {interval:?}");
        }
    }

    #[test]
    fn without_a_failure_the_low_end_has_a_formula() {
        for trials in [1, 10, 25, 200, 5000] {
            let interval = single(0, trials).interval.unwrap();
            let low = 0.025_f64.powf(1.0 / trials as f64);
            assert!((interval.low - low).abs() < 1e-9, "{trials}: {interval:?}");
            assert!((interval.high - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn a_round_that_fails_as_a_whole_is_one_failure() {
        let mut rounds = vec![
            Round {
                of_kind: 10,
                all: 10
            };
            19
        ];
        rounds.push(Round {
            of_kind: 0,
            all: 10,
        });
        let crowd = Proportion::of(&rounds).unwrap();
        assert_eq!((crowd.successes, crowd.trials), (190, 200));
        assert_eq!(crowd.interval, single(1, 20).interval);
        assert_eq!(Proportion::of(&rounds[..1]).unwrap().interval, None);
        assert_eq!(Proportion::of(&[]), None);
    }

    proptest! {
        #[test]
        fn one_more_failure_never_raises_an_end(trials in 1..400_usize, failures in 0..400_usize) {
            let failures = failures % trials;
            let of = |failures: usize| exact((trials - failures) as f64, trials as f64).unwrap();
            let (fewer, more) = (of(failures), of(failures + 1));
            prop_assert!(more.low <= fewer.low && more.high <= fewer.high);
            let share = 1.0 - failures as f64 / trials as f64;
            prop_assert!(fewer.low <= share && share <= fewer.high);
        }

        #[test]
        fn ends_are_in_order(rounds in prop::collection::vec((0..9_usize, 0..9_usize), 1..60)) {
            let round = |(of_kind, others): &(usize, usize)| Round { of_kind: *of_kind, all: of_kind + others };
            let rounds: Vec<Round> = rounds.iter().map(round).filter(|round| round.all > 0).collect();
            if let Some(found) = Proportion::of(&rounds) && let Some(interval) = found.interval {
                prop_assert!(0.0 <= interval.low && interval.low <= found.share);
                prop_assert!(found.share <= interval.high && interval.high <= 1.0);
            }
        }
    }
}
