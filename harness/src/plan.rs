//! The order in which a run takes its samples.
//!
//! Rounds are interleaved: each measures every case once on every target, in an order shuffled anew, so that
//! drift of the host hits all targets alike. The seed is stored with the results, and gives the same order
//! again.

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

/// How much time a run may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// The ladder in under 30 seconds, a minute with peers: does it work, and roughly what comes out?
    Quick,
    /// Under 5 minutes: figures worth quoting.
    Standard,
    /// Some ten minutes: narrow intervals.
    Thorough,
}

impl Profile {
    /// The name that stands in results files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Standard => "standard",
            Self::Thorough => "thorough",
        }
    }
}

/// How much of one experiment is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// For each case the indices of the targets that take part.
    pub cases: Vec<Vec<usize>>,
    /// Rounds that don't count.
    pub warmup: u32,
    /// Rounds that do.
    pub measured: u32,
}

/// One sample to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Index of the experiment.
    pub experiment: usize,
    /// Index of its case.
    pub case: usize,
    /// Index of the target.
    pub target: usize,
    /// Round, from 0, warm-up rounds included.
    pub round: u32,
    /// Whether the sample is kept but doesn't count.
    pub warmup: bool,
}

/// All samples of a run in order: experiment by experiment, round by round, shuffled within each round.
pub fn plan(experiments: &[Workload], seed: u64) -> Vec<Step> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut steps = Vec::new();
    for (experiment, work) in experiments.iter().enumerate() {
        for round in 0..work.warmup + work.measured {
            let mut round_steps: Vec<Step> = work
                .cases
                .iter()
                .enumerate()
                .flat_map(|(case, targets)| targets.iter().map(move |&target| (case, target)))
                .map(|(case, target)| Step {
                    experiment,
                    case,
                    target,
                    round,
                    warmup: round < work.warmup,
                })
                .collect();
            round_steps.shuffle(&mut random);
            steps.append(&mut round_steps);
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn work() -> Vec<Workload> {
        vec![
            Workload {
                cases: vec![vec![0, 1, 2]],
                warmup: 1,
                measured: 20,
            },
            Workload {
                cases: vec![vec![0, 2]; 4],
                warmup: 0,
                measured: 3,
            },
        ]
    }

    #[test]
    fn every_round_has_every_case_on_every_target_once() {
        let steps = plan(&work(), 7);
        assert_eq!(steps.len(), 21 * 3 + 3 * 4 * 2);
        let distinct: HashSet<_> = steps
            .iter()
            .map(|s| (s.experiment, s.round, s.case, s.target))
            .collect();
        assert_eq!(distinct.len(), steps.len());
        assert!(
            steps
                .windows(2)
                .all(|pair| (pair[0].experiment, pair[0].round)
                    <= (pair[1].experiment, pair[1].round))
        );
        assert_eq!(steps.iter().filter(|s| s.warmup).count(), 3);
    }

    #[test]
    fn the_seed_decides_the_order() {
        assert_eq!(plan(&work(), 7), plan(&work(), 7));
        assert_ne!(plan(&work(), 7), plan(&work(), 8));
    }

    #[test]
    fn the_order_changes_between_rounds() {
        let steps = plan(&work(), 7);
        let orders: HashSet<Vec<usize>> = steps[..63]
            .chunks(3)
            .map(|r| r.iter().map(|s| s.target).collect())
            .collect();
        assert!(orders.len() > 3, "{orders:?}");
    }
}
