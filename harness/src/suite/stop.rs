//! When a run stops: after the rounds of its profile, when its leading figures are precise enough,
//! or when its time is up.
//!
//! The rule decides between rounds, so that every target has the same number of samples. The
//! experiments take turns (see [`crate::suite::plan`]), so each experiment has had its share when
//! the time is up. If one experiment is precise early, the others get its time.

use std::time::{Duration, Instant};

use isobench_reports::model::{Sample, Status, Stop, StopReason, TOTAL};
use isobench_reports::statistics::Series;

use crate::suite::plan::PlannedSample;
use crate::values::{parse_percent, parse_time};

/// The largest number of rounds in a run that waits for a precision.
pub const MAX_ROUNDS: u32 = 5000;

/// How long a run with a precision and no time limit may take.
const DEFAULT_TIME: Duration = Duration::from_mins(10);

/// When a run stops, if not after the rounds of its profile.
#[derive(Debug, Clone, Copy, PartialEq, Default, clap::Args)]
pub struct StopOptions {
    /// Go on until the first figure of every experiment has an interval this narrow for every
    /// target, or until the time is up
    // The value is half the width of the interval, divided by the median.
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent)]
    pub precision: Option<f64>,
    /// Time for all samples, such as 90s or 5min [default: as long as the profile takes; 10min with
    /// --precision]
    #[arg(long = "max-time", value_name = "TIME", value_parser = parse_time)]
    pub time: Option<Duration>,
}

impl StopOptions {
    /// The time limit of the run. A run whose precision is never reached needs a limit as well.
    fn limit(self) -> Option<Duration> {
        self.time.or(self.precision.map(|_| DEFAULT_TIME))
    }
}

/// An experiment, as far as the stop rule needs it.
#[derive(Debug, Clone, Copy)]
pub struct StoppableExperiment<'e> {
    /// The experiment's name.
    pub name: &'e str,
    /// The name of the metric that must be precise.
    pub leading_metric: &'static str,
    /// The number of rounds that count, by the run's profile.
    pub profile_rounds: u32,
}

/// Decides before each sample whether the sample is taken.
#[derive(Debug)]
pub struct StopRule<'e> {
    options: StopOptions,
    deadline: Option<Instant>,
    experiments: Vec<ExperimentProgress<'e>>,
}

/// The progress of one experiment.
#[derive(Debug)]
struct ExperimentProgress<'e> {
    experiment: StoppableExperiment<'e>,
    /// The first planned sample of the round that was begun last.
    current: Option<PlannedSample>,
    /// The number of finished rounds that count.
    finished_rounds: u32,
    /// The number of finished rounds at which the precision is computed next.
    next_check: u32,
    /// Why the experiment has stopped; `None` if it goes on.
    stopped: Option<StopReason>,
}

impl<'e> StopRule<'e> {
    /// A rule for `experiments`, whose time begins now.
    pub fn new(options: StopOptions, experiments: Vec<StoppableExperiment<'e>>) -> Self {
        let progress = |experiment| ExperimentProgress {
            experiment,
            current: None,
            finished_rounds: 0,
            next_check: 0,
            stopped: None,
        };
        Self {
            options,
            deadline: options.limit().map(|limit| Instant::now() + limit),
            experiments: experiments.into_iter().map(progress).collect(),
        }
    }

    /// Whether the sample `planned` is taken. `samples` are all samples so far.
    pub fn allows(&mut self, planned: &PlannedSample, samples: &[Sample]) -> bool {
        let progress = &mut self.experiments[planned.experiment];
        if progress.stopped.is_some() {
            return false;
        }
        match progress.current {
            Some(current) if current.round == planned.round => {}
            Some(current) => {
                // A new round begins, so the current round is finished.
                progress.finished_rounds += u32::from(!current.is_warmup);
                let precision = self.options.precision;
                progress.stopped = progress.stop_reason(precision, self.deadline, samples);
                progress.current = Some(*planned);
            }
            None => progress.current = Some(*planned),
        }
        progress.stopped.is_none()
    }

    /// Why the run has stopped, for the results; `None` if the run has no stop options.
    pub fn stop(&self) -> Option<Stop> {
        if self.options == StopOptions::default() {
            return None;
        }
        let stopped =
            |reason| move |progress: &ExperimentProgress| progress.stopped == Some(reason);
        let reason = if self.experiments.iter().any(stopped(StopReason::Time)) {
            StopReason::Time
        } else if self.experiments.iter().all(stopped(StopReason::Precision)) {
            StopReason::Precision
        } else {
            StopReason::Rounds
        };
        Some(Stop {
            precision: self.options.precision,
            max_seconds: self.options.limit().map(|limit| limit.as_secs_f64()),
            reason,
        })
    }
}

impl ExperimentProgress<'_> {
    /// Why the experiment stops between two rounds; `None` if it goes on.
    fn stop_reason(
        &mut self,
        precision: Option<f64>,
        deadline: Option<Instant>,
        samples: &[Sample],
    ) -> Option<StopReason> {
        // The first round that counts is taken in any case, so that every target has a sample.
        if self.finished_rounds == 0 {
            return None;
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Some(StopReason::Time);
        }
        let precision = precision.filter(|_| self.finished_rounds >= self.next_check)?;
        // A check takes time between two rounds. With many rounds, checks become rare.
        self.next_check = self.finished_rounds + self.finished_rounds / 10 + 1;
        self.check_precision(samples, precision)
    }

    /// Whether the leading metric is as precise as `precision` for all targets. An experiment
    /// without values of this metric stops after the rounds of its profile.
    fn check_precision(&self, samples: &[Sample], precision: f64) -> Option<StopReason> {
        let targets = values_by_target(samples, self.experiment);
        if targets.is_empty() {
            let is_done = self.finished_rounds >= self.experiment.profile_rounds;
            return is_done.then_some(StopReason::Rounds);
        }
        let is_precise = |values: Vec<(u32, f64)>| {
            Series::new(values)
                .relative_half_width()
                .is_some_and(|width| width <= precision)
        };
        let all = targets.into_iter().all(|(_, values)| is_precise(values));
        all.then_some(StopReason::Precision)
    }
}

/// The values of the leading metric for each target, each with its round.
fn values_by_target<'s>(
    samples: &'s [Sample],
    experiment: StoppableExperiment,
) -> Vec<(&'s str, Vec<(u32, f64)>)> {
    let good = samples.iter().filter(|sample| {
        sample.experiment == experiment.name
            && sample.metric == experiment.leading_metric
            && sample.part == TOTAL
            && sample.status == Status::Ok
    });
    let mut targets: Vec<(&str, Vec<(u32, f64)>)> = Vec::new();
    for sample in good {
        let Some(value) = sample.value else { continue };
        match targets.iter_mut().find(|(name, _)| *name == sample.target) {
            Some((_, values)) => values.push((sample.round, value)),
            None => targets.push((&sample.target, vec![(sample.round, value)])),
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use isobench_reports::model::Unit;

    use super::*;

    fn sample(round: u32, value: f64) -> Sample {
        Sample {
            target: "process".to_owned(),
            experiment: "startup".to_owned(),
            metric: "ready".to_owned(),
            part: TOTAL.to_owned(),
            unit: Unit::Nanoseconds,
            round,
            sequence: u64::from(round),
            value: Some(value),
            status: if round == 0 {
                Status::Warmup
            } else {
                Status::Ok
            },
            reason: None,
            latencies: None,
        }
    }

    /// Offers 100 rounds of one experiment to a rule. The first is a warm-up round. Returns the
    /// number of rounds that the rule allows, and why the run has stopped.
    fn rounds(options: StopOptions, value: impl Fn(u32) -> f64) -> (u32, Option<Stop>) {
        let experiment = StoppableExperiment {
            name: "startup",
            leading_metric: "ready",
            profile_rounds: 20,
        };
        let mut rule = StopRule::new(options, vec![experiment]);
        let mut samples = Vec::new();
        let mut taken = 0;
        for round in 0..100 {
            let planned = PlannedSample {
                experiment: 0,
                case: 0,
                target: 0,
                round,
                is_warmup: round == 0,
            };
            if rule.allows(&planned, &samples) {
                samples.push(sample(round, value(round)));
                taken += 1;
            }
        }
        (taken, rule.stop())
    }

    fn options(precision: Option<f64>, time: Option<Duration>) -> StopOptions {
        StopOptions { precision, time }
    }

    #[test]
    fn without_options_all_rounds_are_taken() {
        assert_eq!(rounds(StopOptions::default(), f64::from), (100, None));
    }

    #[test]
    fn a_run_with_steady_samples_stops_soon() {
        let steady = |round| 1000.0 + f64::from(round % 3);
        let (taken, stop) = rounds(options(Some(0.02), None), steady);
        assert!((7..=12).contains(&taken), "{taken}");
        assert_eq!(stop.unwrap().reason, StopReason::Precision);
    }

    #[test]
    fn a_run_with_scattered_samples_takes_all_rounds() {
        let scattered = |round: u32| 10.0_f64.powi((round % 7).cast_signed());
        let (taken, stop) = rounds(options(Some(0.02), None), scattered);
        assert_eq!((taken, stop.unwrap().reason), (100, StopReason::Rounds));
        assert_eq!(stop.unwrap().max_seconds, Some(600.0));
    }

    #[test]
    fn when_the_time_is_up_one_round_has_been_counted() {
        let (taken, stop) = rounds(options(Some(0.02), Some(Duration::ZERO)), f64::from);
        assert_eq!((taken, stop.unwrap().reason), (2, StopReason::Time));
    }

    #[test]
    fn a_run_with_enough_time_takes_all_rounds() {
        let (taken, _) = rounds(options(None, Some(Duration::from_mins(1))), f64::from);
        assert_eq!(taken, 100);
    }
}
