//! Starts in a crowd: 1, 2, 4, 8 and 16 instances of one target at once, each timed from its own spawn.
//!
//! One start alone hides what several take from each other: processors, and the kernel's locks over namespaces, mounts,
//! cgroups and memory. All instances of a crowd are born in one accounting cgroup, which the harness enters once: were it
//! to enter another between two spawns, its own waiting would pull the crowd apart. Limits are each instance's own.

use std::time::Duration;

use isobench_reports::schema::MetricSchema;
use isobench_reports::schema::parallel::{CROWDS, Crowd, NAME};

use super::{
    Bench, Case, Experiment, ExperimentInfo, MeasureError, Measured, MetricInfo, Reading, Rounds,
    Subject, elapsed,
};
use crate::experiments::profile::ByProfile;
use crate::host::accounting::Accounting;
use crate::host::clock::MonotonicTime;
use crate::instance::{InstanceError, StartTimes, Stdin, start_together};
use crate::targets::Marks;

/// How the figures are measured, for a report's reader.
const METHOD: &str = "So many instances of one target at once, spawned one after the other as fast as the harness can. Each is timed \
    from just before its own spawn until its line has been read, as in `startup`, and each is a sample. The rate is \
    the number of instances over the time from the first spawn until the last is ready. One accounting cgroup for \
    all of them is made and joined before the clock starts. A target that is slow gets fewer rounds.";

/// See the module's documentation.
#[derive(Debug)]
pub struct Parallel {
    info: ExperimentInfo,
}

impl Parallel {
    /// The experiment, described.
    pub fn new() -> Self {
        let of = |crowd: &Crowd, metric: MetricSchema| {
            MetricInfo::from(metric)
                .at_once(crowd.at_once)
                .back_to_back()
        };
        let ready = CROWDS.iter().map(|crowd| of(crowd, crowd.ready));
        let rate = CROWDS.iter().map(|crowd| of(crowd, crowd.rate));
        Self {
            info: ExperimentInfo {
                patience: Some(ByProfile {
                    quick: Duration::from_millis(600),
                    standard: Duration::from_secs(8),
                    thorough: Duration::from_mins(1),
                }),
                ..ExperimentInfo::new(
                    NAME,
                    METHOD,
                    ready.chain(rate),
                    CROWDS
                        .iter()
                        .map(|crowd| Case::of([crowd.ready, crowd.rate])),
                    ByProfile {
                        quick: Rounds::new(1, 5),
                        standard: Rounds::new(1, 30),
                        thorough: Rounds::new(2, 150),
                    },
                )
            },
        }
    }
}

impl Experiment for Parallel {
    fn info(&self) -> &ExperimentInfo {
        &self.info
    }

    fn measure(
        &self,
        case: usize,
        subject: &Subject,
        bench: &Bench,
    ) -> Result<Measured, MeasureError> {
        let crowd = &CROWDS[case];
        let mut group = bench.accounting.map(Accounting::new_group).transpose()?;
        let limits = match &mut group {
            Some(group) => group.member_limit_directories(crowd.at_once)?,
            None => vec![Vec::new(); crowd.at_once as usize],
        };
        let command = |limits| {
            let mut launch = bench.launch(&["ready"]);
            launch.marks = Marks::None;
            launch.cgroups = limits;
            subject.command(launch, Stdin::Null)
        };
        let commands = limits.into_iter().map(command);
        let commands = commands.collect::<Result<Vec<_>, _>>()?;
        if let Some(group) = &group {
            group.enter()?;
        }
        let outcomes = start_together(&commands, bench.limit, bench.interrupt)?;
        let ended = MonotonicTime::now();
        // What one that failed has left is killed with the group, and fails no other.
        if let Some(group) = group
            && outcomes.iter().all(Result::is_ok)
        {
            group.remove(ended)?;
        }
        measured(crowd, outcomes)
    }
}

/// A sample for each instance, and the rate if none has failed. If all have, the first one's reason is that of the case.
fn measured(
    crowd: &Crowd,
    outcomes: Vec<Result<StartTimes, InstanceError>>,
) -> Result<Measured, MeasureError> {
    let mut measured = Measured::default();
    let mut started = Vec::new();
    let all_failed = outcomes.iter().all(Result::is_err);
    for outcome in outcomes {
        match outcome {
            Ok(one) => started.push(one),
            Err(error) if all_failed => return Err(error.into()),
            Err(error) => {
                let reason = format!("{:#}", anyhow::Error::new(error));
                measured.missing.push((crowd.ready.name, reason));
            }
        }
    }
    for one in &started {
        let took = elapsed(crowd.ready.name, one.spawned, one.ready)?;
        let reading = Reading::duration(crowd.ready.name, took);
        measured.readings.push(reading);
    }
    match measured.missing.len() {
        0 => measured.readings.push(rate(crowd, &started)?),
        failed => {
            let reason = format!("{failed} of {} failed", crowd.at_once);
            measured.missing.push((crowd.rate.name, reason));
        }
    }
    Ok(measured)
}

/// Instances a second, from the first spawn until all are ready.
fn rate(crowd: &Crowd, started: &[StartTimes]) -> Result<Reading, MeasureError> {
    let first = started.iter().map(|one| one.spawned).min();
    let last = started.iter().map(|one| one.ready).max();
    let (first, last) = first.zip(last).ok_or(MeasureError::Untimed)?;
    let took = elapsed(crowd.rate.name, first, last)?;
    if took.is_zero() {
        return Err(MeasureError::Untimed);
    }
    let rate = f64::from(crowd.at_once) / took.as_secs_f64();
    Ok(Reading::total(crowd.rate.name, rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(spawned: u64, ready: u64) -> StartTimes {
        let [spawned, ready] = [spawned, ready].map(|ms| MonotonicTime::from_nanos(ms * 1_000_000));
        StartTimes { spawned, ready }
    }

    fn readings(measured: &Measured, metric: &str) -> Vec<f64> {
        let of = measured.readings.iter().filter(|r| r.metric == metric);
        of.map(|reading| reading.value).collect()
    }

    #[test]
    fn each_instance_is_a_sample_and_the_rate_is_over_all() {
        let outcomes = vec![Ok(started(10, 15)), Ok(started(12, 20))];
        let measured = measured(&CROWDS[1], outcomes).unwrap();
        assert_eq!(readings(&measured, "at-2"), [5e6, 8e6]);
        assert_eq!(readings(&measured, "rate-2"), [200.0]);
        assert!(measured.missing.is_empty());
    }

    #[test]
    fn one_that_fails_costs_its_sample_and_the_rate() {
        let outcomes = vec![Ok(started(10, 15)), Err(InstanceError::Flood)];
        let measured = measured(&CROWDS[1], outcomes).unwrap();
        assert_eq!(readings(&measured, "at-2"), [5e6]);
        let missing: Vec<_> = measured.missing.iter().map(|(metric, _)| *metric).collect();
        assert_eq!(missing, ["at-2", "rate-2"]);
        assert!(measured.missing[0].1.contains("flooded"));
        assert_eq!(measured.missing[1].1, "1 of 2 failed");
    }

    #[test]
    fn every_metric_says_how_many_are_started() {
        let info = Parallel::new().info;
        for (case, at_once) in info.cases.iter().zip([1, 2, 4, 8, 16]) {
            for name in &case.metrics {
                assert_eq!(info.metric(name).unwrap().at_once, Some(at_once));
                assert!(name.ends_with(&format!("-{at_once}")), "{name}");
            }
        }
    }
}
