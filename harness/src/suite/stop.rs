//! When a run stops: after the rounds of its profile, once its leading figures are precise enough, or when its time is up.
//!
//! Decisions fall between rounds, so that every target has as many samples. Experiments take turns (see [`crate::suite::plan`]), so
//! that each has had its share when the time is up, and what a precise one leaves goes to the others.

use std::time::{Duration, Instant};

use isobench_reports::model::{Sample, Status, Stop, StopReason, TOTAL};
use isobench_reports::statistics::Series;

use crate::suite::plan::Step;
use crate::suite::values::{parse_percent, parse_time};

/// Most rounds of a run that goes on until it is precise.
pub const MOST_ROUNDS: u32 = 5000;

/// The time of a run that was asked for a precision and no time.
const DEFAULT_TIME: Duration = Duration::from_mins(10);

/// What a run waits for, if not for the end of its rounds.
#[derive(Debug, Clone, Copy, PartialEq, Default, clap::Args)]
pub struct Until {
    /// Go on until every experiment's first figure has an interval this narrow, for every target, or the time is up
    // Half the width of the interval, as a part of the median.
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent)]
    pub precision: Option<f64>,
    /// Time for all samples, such as 90s or 5min [default: as long as the profile takes; 10min with --precision]
    #[arg(long = "max-time", value_name = "TIME", value_parser = parse_time)]
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
    /// Its name.
    pub experiment: &'static str,
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
    courses: Vec<Course>,
}

/// How far an experiment has come.
#[derive(Debug)]
struct Course {
    extent: Extent,
    /// The round that was begun last, and whether it is there to warm up.
    begun: Option<(u32, bool)>,
    /// Rounds that count and are done.
    done: u32,
    /// Number of those at which precision is next looked at.
    next_look: u32,
    /// Why it has ended before all its rounds.
    ended: Option<StopReason>,
}

impl StopRule {
    /// A rule for experiments, beginning now.
    pub fn new(until: Until, extents: Vec<Extent>) -> Self {
        let course = |extent| Course {
            extent,
            begun: None,
            done: 0,
            next_look: 0,
            ended: None,
        };
        Self {
            until,
            end: until.limit().map(|limit| Instant::now() + limit),
            courses: extents.into_iter().map(course).collect(),
        }
    }

    /// Whether `step` is to be taken, given all `samples` so far.
    pub fn allows(&mut self, step: &Step, samples: &[Sample]) -> bool {
        let course = &mut self.courses[step.experiment];
        if course.ended.is_some() {
            return false;
        }
        if let Some((round, warmup)) = course.begun
            && round != step.round
        {
            // The round that was begun last is done, and counts unless it was there to warm up.
            course.done += u32::from(!warmup);
            course.ended = course.end(self.until.precision, self.end, samples);
        }
        course.begun = Some((step.round, step.warmup));
        course.ended.is_none()
    }

    /// What stopped the run, for its results; nothing if only the rounds could.
    pub fn outcome(&self) -> Option<Stop> {
        if self.until == Until::default() {
            return None;
        }
        let ended = |reason| move |course: &Course| course.ended == Some(reason);
        let reason = if self.courses.iter().any(ended(StopReason::Time)) {
            StopReason::Time
        } else if self.courses.iter().all(ended(StopReason::Precision)) {
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
}

impl Course {
    /// Why it ends between two rounds, if it does.
    fn end(
        &mut self,
        precision: Option<f64>,
        end: Option<Instant>,
        samples: &[Sample],
    ) -> Option<StopReason> {
        // A first round that counts is taken in any case: no target goes without a sample for want of time.
        if self.done == 0 {
            return None;
        }
        if end.is_some_and(|end| Instant::now() >= end) {
            return Some(StopReason::Time);
        }
        let precision = precision.filter(|_| self.done >= self.next_look)?;
        // Looking costs time between two rounds: seldom, once there are many.
        self.next_look = self.done + self.done / 10 + 1;
        precise(samples, self.extent, self.done, precision)
    }
}

/// Whether an experiment's leading figures are as precise as asked. One that has none ends with the rounds of its profile.
fn precise(samples: &[Sample], extent: Extent, done: u32, precision: f64) -> Option<StopReason> {
    let good = samples.iter().filter(|sample| {
        sample.experiment == extent.experiment
            && sample.metric == extent.leading
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
    if targets.is_empty() {
        return (done >= extent.measured).then_some(StopReason::Rounds);
    }
    let is_precise = |values: Vec<(u32, f64)>| {
        Series::new(values)
            .relative_half_width()
            .is_some_and(|width| width <= precision)
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
            experiment: "startup",
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
