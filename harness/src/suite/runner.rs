//! Takes the samples of a plan, one after the other, and turns each sample into rows of the
//! results.

mod failures;
mod patience;
mod rows;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use isobench_reports::model::{Sample, Stop};
use isobench_reports::schema::time;

use crate::experiments::profile::Profile;
use crate::experiments::{
    Applicability, Experiment, ExperimentInfo, MeasureContext, MeasureError, ReadyTarget,
};
use crate::suite::plan::{ExperimentPlan, PlannedSample, plan};
use crate::suite::progress::Progress;
use crate::suite::stop::{MAX_ROUNDS, StopOptions, StopRule, StoppableExperiment};
use crate::suite::testbed::UnavailableTarget;
pub use failures::FailedTarget;

use failures::Failures;
use patience::Patience;
use rows::{note_injections, rows, unavailable_rows};

/// The time between two checkpoints. To write a checkpoint takes some milliseconds between two
/// samples.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);

/// What a run measures, and in which order.
#[derive(Debug)]
pub struct Runner<'r> {
    /// The experiments of the run.
    pub experiments: &'r [Box<dyn Experiment>],
    /// The targets that can run on this host.
    pub targets: &'r [ReadyTarget],
    /// The targets that can't be measured, or not with some of the run's contents.
    pub unavailable: &'r [UnavailableTarget],
    /// The number of rounds of each experiment.
    pub profile: Profile,
    /// The seed of the shuffled order.
    pub seed: u64,
    /// When the run stops, if not after the rounds of the profile.
    pub stop_options: StopOptions,
}

/// The samples that a runner has taken.
#[derive(Debug)]
pub struct TakenSamples {
    /// All samples, failed samples included.
    pub samples: Vec<Sample>,
    /// Whether the runner got to the end of its plan.
    pub completeness: Completeness,
    /// Why the run stopped; `None` if the run had no stop options.
    pub stop: Option<Stop>,
    /// The harness's processor time for the host's part of the work.
    pub host_work: Duration,
    /// The targets that have failed every sample of an experiment.
    pub failed_targets: Vec<FailedTarget>,
}

/// Whether a run got to the end of its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// The run did all rounds, or a stop option ended the run.
    Complete,
    /// The user stopped the run, or the run still goes on.
    Partial,
}

impl Runner<'_> {
    /// Takes all samples. At intervals, `checkpoint` gets the samples so far and saves them, so
    /// that a killed run doesn't lose them.
    pub fn run(
        &self,
        context: &MeasureContext,
        mut progress: Progress,
        checkpoint: &mut dyn FnMut(&[Sample]),
    ) -> TakenSamples {
        let mut samples = self.rows_of_impossible_cases();
        let mut saved = Instant::now();
        let mut completeness = Completeness::Complete;
        let mut rule = StopRule::new(self.stop_options, self.stoppable_experiments());
        let mut patience = Patience::default();
        let mut failures = Failures::default();
        let mut spent = TimeSpent::default();
        let mut host_work = Duration::ZERO;
        for (sequence, planned) in self.plan().iter().enumerate() {
            let experiment = self.experiments[planned.experiment].as_ref();
            let target = &self.targets[planned.target];
            let time = self.time_per_target(experiment);
            let info = experiment.info();
            if !rule.allows(planned, &samples)
                || !spent.allows(planned, time)
                || patience.is_spent(info.give_up, planned)
            {
                continue;
            }
            let begun = Instant::now();
            progress.begin_sample(sequence, &info.name, target.info.name);
            let result = patience
                .check(info.give_up, planned, target)
                .and_then(|()| experiment.measure(planned.case, target, context));
            patience.note(info.give_up, planned, &result);
            if context.interrupt.stop_requested()
                || result.as_ref().is_err_and(MeasureError::is_interrupt)
            {
                completeness = Completeness::Partial;
                break;
            }
            failures.note(planned, &result);
            host_work += result
                .as_ref()
                .map_or(Duration::ZERO, |measurement| measurement.host_work);
            let mut new = rows(info, target.info.name, planned, sequence as u64, result);
            note_injections(&mut new, context.injections);
            samples.extend(new);
            spent.add(planned, begun.elapsed());
            if saved.elapsed() >= CHECKPOINT_INTERVAL {
                checkpoint(&samples);
                saved = Instant::now();
            }
        }
        progress.finish();
        TakenSamples {
            samples,
            completeness,
            stop: rule.stop(),
            host_work,
            failed_targets: failures.of_targets(
                |target| self.targets[target].info.name,
                |experiment| self.experiments[experiment].info().name.to_string(),
            ),
        }
    }

    /// The time that one target may take in `experiment`. A run that waits for a precision has no
    /// such limit, because it has a limit on the whole time.
    fn time_per_target(&self, experiment: &dyn Experiment) -> Option<Duration> {
        match self.stop_options.precision {
            Some(_) => None,
            None => experiment.info().time_per_target(self.profile),
        }
    }

    /// All samples of the run, in order.
    pub fn plan(&self) -> Vec<PlannedSample> {
        let experiments: Vec<ExperimentPlan> = self
            .experiments
            .iter()
            .map(|experiment| {
                let rounds = experiment.info().rounds.of(self.profile);
                ExperimentPlan {
                    cases: (0..experiment.info().cases.len())
                        .map(|case| self.targets_of(experiment.as_ref(), case))
                        .collect(),
                    warmup_rounds: rounds.warmup,
                    profile_rounds: rounds.measured,
                    max_rounds: match self.stop_options.precision {
                        Some(_) => MAX_ROUNDS,
                        None => rounds.measured,
                    },
                }
            })
            .collect();
        plan(&experiments, self.seed)
    }

    fn stoppable_experiments(&self) -> Vec<StoppableExperiment<'_>> {
        let experiments = self.experiments.iter();
        experiments
            .map(|experiment| {
                let info = experiment.info();
                StoppableExperiment {
                    name: &info.name,
                    leading_metric: info.metrics.first().map_or("", |metric| metric.schema.name),
                    profile_rounds: info.rounds.of(self.profile).measured,
                }
            })
            .collect()
    }

    /// The indices of the targets on which a case is measured.
    fn targets_of(&self, experiment: &dyn Experiment, case: usize) -> Vec<usize> {
        let (contents, name) = (experiment.info().contents, &experiment.info().name);
        (0..self.targets.len())
            .filter(|&index| {
                let ready = &self.targets[index];
                ready.contents == contents
                    && ready.info.takes_part_in(name)
                    && experiment.applicability(case, &ready.info) == Applicability::Measured
            })
            .collect()
    }

    /// Whether the run times commands, and no target can run any of them.
    pub fn has_no_target_for_commands(&self) -> bool {
        let experiments = self.experiments.iter();
        let mut commands = experiments
            .filter(|experiment| time::is_time(&experiment.info().name))
            .peekable();
        commands.peek().is_some()
            && commands.all(|command| self.targets_of(&**command, 0).is_empty())
    }

    /// The rows of the cases that are impossible for a target, each with the reason.
    fn rows_of_impossible_cases(&self) -> Vec<Sample> {
        let mut rows = Vec::new();
        for experiment in self.experiments {
            let info = experiment.info();
            for (number, case) in info.cases.iter().enumerate() {
                for target in self.targets.iter().filter(|t| t.contents == info.contents) {
                    let applicability = experiment.applicability(number, &target.info);
                    if let Applicability::Impossible(reason) = applicability
                        && target.info.takes_part_in(&info.name)
                    {
                        rows.extend(unavailable_rows(info, case, target.info.name, &reason));
                    }
                }
                for target in self.unavailable_for(info) {
                    let (name, reason) = (target.info.name, &target.reason.reason);
                    rows.extend(unavailable_rows(info, case, name, reason));
                }
            }
        }
        rows
    }

    /// What can't be measured, and why: a line for each target and reason.
    pub fn gaps(&self) -> Vec<String> {
        let mut gaps: Vec<String> = Vec::new();
        let unavailable = self.unavailable.iter().map(|target| {
            let (name, reason) = (target.info.name, &target.reason);
            format!("{name} can't run here: {}; {}", reason.reason, reason.fix)
        });
        let impossible = self.rows_of_impossible_cases().into_iter();
        let impossible = impossible.filter_map(|row| {
            let (target, experiment) = (row.target, row.experiment);
            Some(format!("{target} has no {experiment}: {}", row.reason?))
        });
        for gap in unavailable.chain(impossible) {
            if !gaps.contains(&gap) {
                gaps.push(gap);
            }
        }
        gaps
    }

    /// The targets that can be measured with some of the run's contents, but not with those of the
    /// experiment.
    fn unavailable_for(&self, info: &ExperimentInfo) -> impl Iterator<Item = &UnavailableTarget> {
        let is_ready_elsewhere =
            |name: &str| self.targets.iter().any(|target| target.info.name == name);
        self.unavailable.iter().filter(move |target| {
            target.contents == info.contents
                && target.info.takes_part_in(&info.name)
                && is_ready_elsewhere(target.info.name)
        })
    }
}

/// The time that each target has spent in each experiment.
#[derive(Default)]
struct TimeSpent {
    /// By experiment and target: the time, and the last round that was begun.
    by_target: HashMap<(usize, usize), (Duration, u32)>,
}

impl TimeSpent {
    /// Whether a target that may take the time `limit` has time left for the sample. A round that
    /// was begun is finished, so that each case has the same number of samples. The first round
    /// that counts is taken in any case.
    fn allows(&self, planned: &PlannedSample, limit: Option<Duration>) -> bool {
        let spent = self.by_target.get(&Self::key(planned));
        let Some((limit, (spent, round))) = limit.zip(spent) else {
            return true;
        };
        planned.is_warmup || planned.round == *round || *spent < limit
    }

    /// Adds the time of a sample. The time of warm-up samples doesn't count.
    fn add(&mut self, planned: &PlannedSample, time: Duration) {
        if !planned.is_warmup {
            let (spent, round) = self.by_target.entry(Self::key(planned)).or_default();
            *spent += time;
            *round = planned.round;
        }
    }

    fn key(planned: &PlannedSample) -> (usize, usize) {
        (planned.experiment, planned.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_target_gets_whole_rounds_and_at_least_one() {
        let (short, long) = (Duration::from_millis(6), Duration::from_millis(5));
        let taken = |limit| {
            let mut spent = TimeSpent::default();
            let plan = (0..5).flat_map(|round| {
                [0, 1].map(|case| PlannedSample {
                    experiment: 0,
                    case,
                    target: 0,
                    round,
                    is_warmup: round == 0,
                })
            });
            let taken = plan.filter(|planned| {
                let is_allowed = spent.allows(planned, limit);
                if is_allowed {
                    spent.add(planned, long);
                }
                is_allowed
            });
            taken.count()
        };
        assert_eq!(taken(None), 10);
        assert_eq!(taken(Some(Duration::ZERO)), 4);
        assert_eq!(taken(Some(short)), 4);
        assert_eq!(taken(Some(short * 2)), 6);
    }
}
