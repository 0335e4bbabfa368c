//! When a run stops: after the rounds of its profile, once its leading figures are precise enough, or when its time is up.
//!
//! Decisions fall between rounds, so that every target has as many samples. The time that is left is shared out among
//! the experiments that are still to come, so the first can't take it all.

use std::time::{Duration, Instant};

use isobench_reports::conduct::half_width;
use isobench_reports::model::{Sample, Status, Stop, StopReason, TOTAL};
use isobench_reports::statistics::Series;

use crate::plan::Step;

/// Most rounds of a run that goes on until it is precise.
pub const MOST_ROUNDS: u32 = 5000;

/// The time of a run that was asked for a precision and no time.
const DEFAULT_TIME: Duration = Duration::from_mins(10);

/// What a run waits for, if not for the end of its rounds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Until {
    /// Half the width of the interval of each experiment's first metric, as a part of the median, for every target.
    pub precision: Option<f64>,
    /// The time for all samples.
    pub time: Option<Duration>,
}

impl Until {
    /// The time that is kept to: a precision that is never reached must not keep a run for ever.
    fn limit(self) -> Option<Duration> {
        self.time.or(self.precision.map(|_| DEFAULT_TIME))
    }
}

/// What the rule knows of an experiment.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Name of the metric that must be precise.
    pub leading: &'static str,
    /// Rounds that its profile measures.
    pub measured: u32,
}

/// Decides before each step whether it is still to be taken.
#[derive(Debug)]
pub struct StopRule {
    until: Until,
    end: Option<Instant>,
    extents: Vec<Extent>,
    current: Option<Current>,
    /// Why experiments have ended before all their rounds.
    ended: Vec<StopReason>,
}

/// The experiment that is being measured.
#[derive(Debug)]
struct Current {
    experiment: usize,
    /// Where its samples begin.
    first_sample: usize,
    round: u32,
    /// Whether that round is there to warm up.
    warmup: bool,
    /// Rounds that count and are done.
    done: u32,
    /// Number of those at which precision is next looked at.
    next_look: u32,
    deadline: Option<Instant>,
    stopped: bool,
}

impl StopRule {
    /// A rule for experiments in the order in which they are measured, beginning now.
    pub fn new(until: Until, extents: Vec<Extent>) -> Self {
        Self {
            until,
            end: until.limit().map(|limit| Instant::now() + limit),
            extents,
            current: None,
            ended: Vec::new(),
        }
    }

    /// Whether `step` is to be taken, given all `samples` so far.
    pub fn allows(&mut self, step: &Step, samples: &[Sample]) -> bool {
        if self.until == Until::default() {
            return true;
        }
        if self.current.as_ref().map(|current| current.experiment) != Some(step.experiment) {
            self.begin(step, samples.len());
        }
        let Some(current) = &mut self.current else {
            return true;
        };
        if current.round != step.round && !current.stopped {
            // The round that has just ended counts, unless it was there to warm up.
            current.done += u32::from(!current.warmup);
            (current.round, current.warmup) = (step.round, step.warmup);
            self.look(samples);
        }
        self.current.as_ref().is_none_or(|current| !current.stopped)
    }

    /// What stopped the run, for its results; nothing if only the rounds could.
    pub fn outcome(&self) -> Option<Stop> {
        if self.until == Until::default() {
            return None;
        }
        let all_precise = self.ended.len() == self.extents.len()
            && self
                .ended
                .iter()
                .all(|ended| *ended == StopReason::Precision);
        let reason = if self.ended.contains(&StopReason::Time) {
            StopReason::Time
        } else if all_precise {
            StopReason::Precision
        } else {
            StopReason::Rounds
        };
        Some(Stop {
            precision: self.until.precision,
            max_seconds: self.until.limit().map(|limit| limit.as_secs_f64()),
            reason,
        })
    }

    fn begin(&mut self, step: &Step, first_sample: usize) {
        let now = Instant::now();
        let left = self.extents.len().saturating_sub(step.experiment).max(1);
        let share = self.end.map(|end| {
            now + end.saturating_duration_since(now) / u32::try_from(left).unwrap_or(u32::MAX)
        });
        self.current = Some(Current {
            experiment: step.experiment,
            first_sample,
            round: step.round,
            warmup: step.warmup,
            done: 0,
            next_look: 0,
            deadline: share,
            stopped: false,
        });
    }

    fn look(&mut self, samples: &[Sample]) {
        let Some(current) = &mut self.current else {
            return;
        };
        // A first round that counts is taken in any case: no target goes without a sample for want of time.
        if current.done == 0 {
            return;
        }
        let extent = self.extents[current.experiment];
        let late = current.deadline.is_some_and(|end| Instant::now() >= end);
        let reason = if late {
            Some(StopReason::Time)
        } else if let Some(precision) = self.until.precision
            && current.done >= current.next_look
        {
            // Looking costs time between two rounds: seldom, once there are many.
            current.next_look = current.done + current.done / 10 + 1;
            let own = &samples[current.first_sample.min(samples.len())..];
            precise(own, extent, current.done, precision)
        } else {
            None
        };
        if let Some(reason) = reason {
            current.stopped = true;
            self.ended.push(reason);
        }
    }
}

/// Whether an experiment's leading figures are as precise as asked. One that has none ends with the rounds of its profile.
fn precise(samples: &[Sample], extent: Extent, done: u32, precision: f64) -> Option<StopReason> {
    let good = samples.iter().filter(|sample| {
        sample.metric == extent.leading && sample.part == TOTAL && sample.status == Status::Ok
    });
    let mut targets: Vec<(&str, Vec<(u32, f64)>)> = Vec::new();
    for sample in good {
        let Some(value) = sample.value else { continue };
        match targets.iter_mut().find(|(name, _)| *name == sample.target) {
            Some((_, values)) => values.push((sample.round, value)),
            None => targets.push((&sample.target, vec![(sample.round, value)])),
        }
    }
    if targets.is_empty() {
        return (done >= extent.measured).then_some(StopReason::Rounds);
    }
    let is_precise = |values: Vec<(u32, f64)>| {
        half_width(&Series::new(values)).is_some_and(|width| width <= precision)
    };
    let all = targets.into_iter().all(|(_, values)| is_precise(values));
    all.then_some(StopReason::Precision)
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

    /// Rounds that a rule lets one experiment take of 100, the first of which is a warm-up, and what it says in the end.
    fn rounds(until: Until, value: impl Fn(u32) -> f64) -> (u32, Option<Stop>) {
        let extent = Extent {
            leading: "ready",
            measured: 20,
        };
        let mut rule = StopRule::new(until, vec![extent]);
        let mut samples = Vec::new();
        let mut taken = 0;
        for round in 0..100 {
            let step = Step {
                experiment: 0,
                case: 0,
                target: 0,
                round,
                warmup: round == 0,
            };
            if rule.allows(&step, &samples) {
                samples.push(sample(round, value(round)));
                taken += 1;
            }
        }
        (taken, rule.outcome())
    }

    fn until(precision: Option<f64>, time: Option<Duration>) -> Until {
        Until { precision, time }
    }

    #[test]
    fn without_a_wish_all_rounds_are_taken() {
        assert_eq!(rounds(Until::default(), f64::from), (100, None));
    }

    #[test]
    fn steady_samples_are_soon_precise_and_wild_ones_never() {
        let asked = until(Some(0.02), None);
        let (taken, stop) = rounds(asked, |round| 1000.0 + f64::from(round % 3));
        assert!((7..=12).contains(&taken), "{taken}");
        assert_eq!(stop.unwrap().reason, StopReason::Precision);
        let (taken, stop) = rounds(asked, |round| 10.0_f64.powi((round % 7).cast_signed()));
        assert_eq!((taken, stop.unwrap().reason), (100, StopReason::Rounds));
        assert_eq!(stop.unwrap().max_seconds, Some(600.0));
    }

    #[test]
    fn when_the_time_is_up_one_round_has_been_counted() {
        let (taken, stop) = rounds(until(Some(0.02), Some(Duration::ZERO)), f64::from);
        assert_eq!((taken, stop.unwrap().reason), (2, StopReason::Time));
        let (taken, _) = rounds(until(None, Some(Duration::from_mins(1))), f64::from);
        assert_eq!(taken, 100);
    }
}
