//! Takes the samples of a plan, one after the other, and turns each into rows of the results.

mod rows;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use isobench_reports::model::{Sample, Stop};

use crate::experiments::profile::Profile;
use crate::experiments::{
    Applicability, Experiment, MeasureContext, MeasureError, Measurement, ReadyTarget,
};
use crate::suite::plan::{Step, Workload, plan};
use crate::suite::progress::Progress;
use crate::suite::stop::{Extent, MOST_ROUNDS, StopRule, Until};
use rows::{rows, stamp, unavailable};

/// Time between two checkpoints; writing one costs some milliseconds between two samples.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);

/// Samples of one target in a row that may use up their time, before no more of it are taken: it costs its own row then,
/// and not the run.
const MOST_HUNG: u32 = 2;

/// What a run has to do.
#[derive(Debug)]
pub struct Runner<'r> {
    /// The experiments asked for.
    pub experiments: &'r [Box<dyn Experiment>],
    /// The targets that can run here.
    pub targets: &'r [ReadyTarget],
    /// How much of each.
    pub profile: Profile,
    /// Decides the order.
    pub seed: u64,
    /// When to stop before the rounds of the profile, or after them.
    pub until: Until,
}

/// What came of a run.
#[derive(Debug)]
pub struct Taken {
    /// Every sample, failed ones included.
    pub samples: Vec<Sample>,
    /// Whether the user stopped it before the end.
    pub interrupted: bool,
    /// What stopped it otherwise, if something else than its rounds was asked for.
    pub stop: Option<Stop>,
    /// Processor time of the harness that was the host's part of the work.
    pub host_work: Duration,
}

impl Runner<'_> {
    /// Takes all samples; `checkpoint` gets those so far from time to time, so that a killed run keeps them.
    pub fn run(
        &self,
        context: &MeasureContext,
        mut progress: Progress,
        checkpoint: &mut dyn FnMut(&[Sample]),
    ) -> Taken {
        let mut samples = self.reasons();
        let mut saved = Instant::now();
        let mut interrupted = false;
        let mut rule = StopRule::new(self.until, self.extents());
        let mut hung = vec![0; self.targets.len()];
        let mut spent = Spent::default();
        let mut host_work = Duration::ZERO;
        for (sequence, step) in self.steps().iter().enumerate() {
            let experiment = &self.experiments[step.experiment];
            let target = &self.targets[step.target];
            if !rule.allows(step, &samples) {
                continue;
            }
            if !spent.allows(step, self.patience(experiment.as_ref())) {
                continue;
            }
            let begun = Instant::now();
            progress.step(sequence, experiment.info().name, target.info.name);
            let outcome = measure(experiment.as_ref(), step, target, context, &mut hung);
            if context.interrupt.stop_requested()
                || outcome.as_ref().is_err_and(MeasureError::is_interrupt)
            {
                interrupted = true;
                break;
            }
            host_work += outcome
                .as_ref()
                .map_or(Duration::ZERO, |measured| measured.host_work);
            let mut taken = rows(
                experiment.info(),
                target.info.name,
                step,
                sequence as u64,
                outcome,
            );
            stamp(&mut taken, context.injections);
            samples.extend(taken);
            spent.add(step, begun.elapsed());
            if saved.elapsed() >= CHECKPOINT_INTERVAL {
                checkpoint(&samples);
                saved = Instant::now();
            }
        }
        progress.finish();
        Taken {
            samples,
            interrupted,
            stop: rule.outcome(),
            host_work,
        }
    }

    /// The time that one target may take of `experiment`. A run that waits until it is precise has no such patience to lose:
    /// its own time ends it.
    fn patience(&self, experiment: &dyn Experiment) -> Option<Duration> {
        match self.until.precision {
            Some(_) => None,
            None => experiment.info().time_per_target(self.profile),
        }
    }

    /// The plan of this run.
    pub fn steps(&self) -> Vec<Step> {
        let work: Vec<Workload> = self
            .experiments
            .iter()
            .map(|experiment| {
                let rounds = experiment.info().rounds.of(self.profile);
                Workload {
                    cases: (0..experiment.info().cases.len())
                        .map(|case| self.subjects_of(experiment.as_ref(), case))
                        .collect(),
                    warmup: rounds.warmup,
                    measured: rounds.measured,
                    most: match self.until.precision {
                        Some(_) => MOST_ROUNDS,
                        None => rounds.measured,
                    },
                }
            })
            .collect();
        plan(&work, self.seed)
    }

    fn extents(&self) -> Vec<Extent> {
        let experiments = self.experiments.iter();
        experiments
            .map(|experiment| {
                let info = experiment.info();
                Extent {
                    experiment: info.name,
                    leading: info.metrics.first().map_or("", |metric| metric.schema.name),
                    measured: info.rounds.of(self.profile).measured,
                }
            })
            .collect()
    }

    fn subjects_of(&self, experiment: &dyn Experiment, case: usize) -> Vec<usize> {
        (0..self.targets.len())
            .filter(|&index| {
                let target = &self.targets[index].info;
                target.takes_part_in(experiment.info().name)
                    && experiment.applicability(case, target) == Applicability::Measured
            })
            .collect()
    }

    /// A row for each figure that a target can't have, with the reason.
    fn reasons(&self) -> Vec<Sample> {
        let mut rows = Vec::new();
        for experiment in self.experiments {
            let info = experiment.info();
            for (number, case) in info.cases.iter().enumerate() {
                for target in self.targets {
                    let target = &target.info;
                    let applicability = experiment.applicability(number, target);
                    if let Applicability::Impossible(reason) = applicability
                        && target.takes_part_in(info.name)
                    {
                        rows.extend(unavailable(info, case, target.name, reason));
                    }
                }
            }
        }
        rows
    }
}

/// Takes one sample, unless the target has hung too often.
fn measure(
    experiment: &dyn Experiment,
    step: &Step,
    target: &ReadyTarget,
    context: &MeasureContext,
    hung: &mut [u32],
) -> Result<Measurement, MeasureError> {
    let hung = &mut hung[step.target];
    if *hung >= MOST_HUNG {
        return Err(MeasureError::GivenUp {
            target: target.info.name,
            hung: *hung,
        });
    }
    let outcome = experiment.measure(step.case, target, context);
    let timed_out = outcome.as_ref().is_err_and(MeasureError::is_timeout);
    *hung = if timed_out { *hung + 1 } else { 0 };
    outcome
}

/// The time that targets have spent, for experiments whose patience has an end.
#[derive(Default)]
struct Spent {
    /// By experiment and target: the time, and the last round that was begun.
    of: HashMap<(usize, usize), (Duration, u32)>,
}

impl Spent {
    /// Whether there is patience left for the step. A round that was begun is finished, so that each case has as many
    /// samples; the first one that counts is taken in any case.
    fn allows(&self, step: &Step, patience: Option<Duration>) -> bool {
        let Some((patience, (spent, round))) = patience.zip(self.of.get(&Self::key(step))) else {
            return true;
        };
        step.warmup || step.round == *round || *spent < patience
    }

    /// Counts what a step took. Warm-up is free.
    fn add(&mut self, step: &Step, time: Duration) {
        if !step.warmup {
            let (spent, round) = self.of.entry(Self::key(step)).or_default();
            *spent += time;
            *round = step.round;
        }
    }

    fn key(step: &Step) -> (usize, usize) {
        (step.experiment, step.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_target_gets_whole_rounds_and_at_least_one() {
        let (short, long) = (Duration::from_millis(6), Duration::from_millis(5));
        let taken = |patience| {
            let mut spent = Spent::default();
            let steps = (0..5).flat_map(|round| {
                [0, 1].map(|case| Step {
                    experiment: 0,
                    case,
                    target: 0,
                    round,
                    warmup: round == 0,
                })
            });
            let taken = steps.filter(|step| {
                let allowed = spent.allows(step, patience);
                if allowed {
                    spent.add(step, long);
                }
                allowed
            });
            taken.count()
        };
        assert_eq!(taken(None), 10);
        assert_eq!(taken(Some(Duration::ZERO)), 4);
        assert_eq!(taken(Some(short)), 4);
        assert_eq!(taken(Some(short * 2)), 6);
    }
}
