//! The order in which a run takes its samples.
//!
//! Rounds are interleaved: each measures every case once on every target, in an order shuffled anew, so that
//! drift of the host hits all targets alike. The experiments take turns: each has its rounds spread over the whole run, so
//! that every figure sees all of the host's moods, and not the minute in which it happened to be measured. The seed is stored
//! with the results, and gives the same order again.

use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom as _;

/// Turns in which an experiment does the rounds of its profile.
const TURNS: u32 = 8;

/// How much of one experiment is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// For each case the indices of the targets that take part.
    pub cases: Vec<Vec<usize>>,
    /// Rounds that don't count.
    pub warmup: u32,
    /// Rounds that do, by its profile: an eighth of them is done in one turn.
    pub measured: u32,
    /// Rounds that do, at most: more turns follow where these are more than the profile's.
    pub most: u32,
}

impl Workload {
    /// The rounds, each with the turn in which it is done. All that warm up are in the first.
    fn rounds(&self) -> impl Iterator<Item = (u32, u32)> {
        let turn =
            |counted: u32| u64::from(counted) * u64::from(TURNS) / u64::from(self.measured.max(1));
        (0..self.warmup + self.most).map(move |round| {
            let turn = turn(round.saturating_sub(self.warmup));
            (u32::try_from(turn).unwrap_or(u32::MAX), round)
        })
    }
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

/// All samples of a run in order: turn by turn, experiment by experiment, round by round, shuffled within each round.
pub fn plan(experiments: &[Workload], seed: u64) -> Vec<Step> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut rounds: Vec<(u32, usize, u32)> = experiments
        .iter()
        .enumerate()
        .flat_map(|(experiment, work)| {
            let rounds = work.rounds();
            rounds.map(move |(turn, round)| (turn, experiment, round))
        })
        .collect();
    rounds.sort_unstable();
    rounds
        .into_iter()
        .flat_map(|(_, experiment, round)| {
            let mut steps = steps(experiment, &experiments[experiment], round);
            steps.shuffle(&mut random);
            steps
        })
        .collect()
}

/// The samples of one round, in no order.
fn steps(experiment: usize, work: &Workload, round: u32) -> Vec<Step> {
    let cases = work.cases.iter().enumerate();
    cases
        .flat_map(|(case, targets)| targets.iter().map(move |&target| (case, target)))
        .map(|(case, target)| Step {
            experiment,
            case,
            target,
            round,
            warmup: round < work.warmup,
        })
        .collect()
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
                most: 20,
            },
            Workload {
                cases: vec![vec![0, 2]; 4],
                warmup: 0,
                measured: 3,
                most: 3,
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
        for experiment in 0..2 {
            let own = steps.iter().filter(|step| step.experiment == experiment);
            assert!(own.is_sorted_by_key(|step| step.round));
        }
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
        let first: Vec<usize> = steps
            .iter()
            .filter(|step| step.experiment == 0)
            .map(|step| step.target)
            .collect();
        let orders: HashSet<&[usize]> = first.chunks(3).collect();
        assert!(orders.len() > 3, "{orders:?}");
    }

    /// The rounds of two experiments, in order: which one, and how many in a row.
    fn turns(work: &[Workload]) -> Vec<(usize, usize)> {
        let steps = plan(work, 7);
        let mut rounds: Vec<(usize, u32)> = steps.iter().map(|s| (s.experiment, s.round)).collect();
        rounds.dedup();
        let turns = rounds.chunk_by(|left, right| left.0 == right.0);
        turns.map(|turn| (turn[0].0, turn.len())).collect()
    }

    #[test]
    fn experiments_take_turns_in_proportion_to_their_rounds() {
        let turns = turns(&work());
        // One round to warm up and 20 that count, in eighths, with 3 in between.
        assert_eq!(
            turns,
            [(0, 4), (1, 1), (0, 5), (1, 1), (0, 7), (1, 1), (0, 5)]
        );
    }

    #[test]
    fn rounds_beyond_the_profile_come_in_turns_as_well() {
        let mut work = work();
        for one in &mut work {
            one.most = one.measured * 10;
        }
        let turns = turns(&work);
        assert!(turns.iter().all(|(_, rounds)| *rounds <= 9), "{turns:?}");
        let of = |experiment| turns.iter().filter(move |turn| turn.0 == experiment);
        assert_eq!(of(0).map(|turn| turn.1).sum::<usize>(), 201);
        assert_eq!(of(1).map(|turn| turn.1).sum::<usize>(), 30);
    }
}
