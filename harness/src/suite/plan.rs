//! The order in which a run takes its samples.
//!
//! Each round measures every case once on every target, in an order that is shuffled for each
//! round. So a drift of the host affects all targets alike. The experiments take turns: the rounds
//! of each experiment are spread over the whole run. So each figure depends on the host's state
//! during the whole run, not during one minute. The results hold the seed, which gives the same
//! order again.

use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom as _;

/// The number of turns in which an experiment does the rounds of its profile.
const TURNS: u32 = 8;

/// The rounds of one experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExperimentPlan {
    /// For each case, the indices of the targets that take part.
    pub cases: Vec<Vec<usize>>,
    /// The number of rounds that don't count.
    pub warmup_rounds: u32,
    /// The number of rounds that count, by the run's profile. Each turn does an eighth of them.
    pub profile_rounds: u32,
    /// The largest number of rounds that count. If it exceeds the profile's, more turns follow.
    pub max_rounds: u32,
}

impl ExperimentPlan {
    /// The rounds, each after the turn in which it is done. All warm-up rounds are in the first
    /// turn.
    fn rounds(&self) -> impl Iterator<Item = (u32, u32)> {
        let profile_rounds = u64::from(self.profile_rounds.max(1));
        let turn = move |counted: u32| u64::from(counted) * u64::from(TURNS) / profile_rounds;
        (0..self.warmup_rounds + self.max_rounds).map(move |round| {
            let turn = turn(round.saturating_sub(self.warmup_rounds));
            (u32::try_from(turn).unwrap_or(u32::MAX), round)
        })
    }
}

/// One sample to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedSample {
    /// The index of the experiment.
    pub experiment: usize,
    /// The index of the experiment's case.
    pub case: usize,
    /// The index of the target.
    pub target: usize,
    /// The number of the round, from 0. Warm-up rounds are numbered as well.
    pub round: u32,
    /// Whether the sample is kept but doesn't count.
    pub is_warmup: bool,
}

/// All samples of a run in order: turn by turn, experiment by experiment, round by round. The
/// samples of each round are shuffled.
pub fn plan(experiments: &[ExperimentPlan], seed: u64) -> Vec<PlannedSample> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut rounds: Vec<(u32, usize, u32)> = experiments
        .iter()
        .enumerate()
        .flat_map(|(experiment, plan)| {
            let rounds = plan.rounds();
            rounds.map(move |(turn, round)| (turn, experiment, round))
        })
        .collect();
    rounds.sort_unstable();
    rounds
        .into_iter()
        .flat_map(|(_, experiment, round)| {
            let mut samples = samples_of_round(experiment, &experiments[experiment], round);
            samples.shuffle(&mut random);
            samples
        })
        .collect()
}

/// The samples of one round, not shuffled yet.
fn samples_of_round(experiment: usize, plan: &ExperimentPlan, round: u32) -> Vec<PlannedSample> {
    let cases = plan.cases.iter().enumerate();
    cases
        .flat_map(|(case, targets)| targets.iter().map(move |&target| (case, target)))
        .map(|(case, target)| PlannedSample {
            experiment,
            case,
            target,
            round,
            is_warmup: round < plan.warmup_rounds,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn experiments() -> Vec<ExperimentPlan> {
        vec![
            ExperimentPlan {
                cases: vec![vec![0, 1, 2]],
                warmup_rounds: 1,
                profile_rounds: 20,
                max_rounds: 20,
            },
            ExperimentPlan {
                cases: vec![vec![0, 2]; 4],
                warmup_rounds: 0,
                profile_rounds: 3,
                max_rounds: 3,
            },
        ]
    }

    #[test]
    fn every_round_has_every_case_on_every_target_once() {
        let samples = plan(&experiments(), 7);
        assert_eq!(samples.len(), 21 * 3 + 3 * 4 * 2);
        let distinct: HashSet<_> = samples
            .iter()
            .map(|s| (s.experiment, s.round, s.case, s.target))
            .collect();
        assert_eq!(distinct.len(), samples.len());
        for experiment in 0..2 {
            let own = samples.iter().filter(|s| s.experiment == experiment);
            assert!(own.is_sorted_by_key(|sample| sample.round));
        }
        assert_eq!(samples.iter().filter(|s| s.is_warmup).count(), 3);
    }

    #[test]
    fn the_seed_decides_the_order() {
        assert_eq!(plan(&experiments(), 7), plan(&experiments(), 7));
        assert_ne!(plan(&experiments(), 7), plan(&experiments(), 8));
    }

    #[test]
    fn the_order_changes_between_rounds() {
        let samples = plan(&experiments(), 7);
        let targets: Vec<usize> = samples
            .iter()
            .filter(|sample| sample.experiment == 0)
            .map(|sample| sample.target)
            .collect();
        let orders: HashSet<&[usize]> = targets.chunks(3).collect();
        assert!(orders.len() > 3, "{orders:?}");
    }

    /// The turns in order: the index of the experiment, and the number of its rounds in a row.
    fn turns(experiments: &[ExperimentPlan]) -> Vec<(usize, usize)> {
        let samples = plan(experiments, 7);
        let mut rounds: Vec<(usize, u32)> =
            samples.iter().map(|s| (s.experiment, s.round)).collect();
        rounds.dedup();
        let turns = rounds.chunk_by(|left, right| left.0 == right.0);
        turns.map(|turn| (turn[0].0, turn.len())).collect()
    }

    #[test]
    fn experiments_take_turns_in_proportion_to_their_rounds() {
        let turns = turns(&experiments());
        // One experiment has a warm-up round and 20 rounds that count, in eighths. The other has 3
        // rounds.
        assert_eq!(
            turns,
            [(0, 4), (1, 1), (0, 5), (1, 1), (0, 7), (1, 1), (0, 5)]
        );
    }

    #[test]
    fn rounds_beyond_the_profile_come_in_turns_as_well() {
        let mut experiments = experiments();
        for experiment in &mut experiments {
            experiment.max_rounds = experiment.profile_rounds * 10;
        }
        let turns = turns(&experiments);
        assert!(turns.iter().all(|(_, rounds)| *rounds <= 9), "{turns:?}");
        let rounds = |experiment| {
            let own = turns.iter().filter(move |turn| turn.0 == experiment);
            own.map(|turn| turn.1).sum::<usize>()
        };
        assert_eq!(rounds(0), 201);
        assert_eq!(rounds(1), 30);
    }
}
