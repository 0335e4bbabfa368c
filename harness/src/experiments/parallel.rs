//! Starts in a crowd: 1, 2, 4, 8 and 16 instances of one target at once, each timed from its own
//! spawn.
//!
//! Several starts at once compete for processors, and for the kernel's locks over namespaces,
//! mounts, cgroups and memory. A single start doesn't show that. All instances of a crowd start in
//! one accounting cgroup, which the harness enters once. If the harness entered another cgroup
//! between two spawns, its own waiting would separate the spawns. Each instance has limits of its
//! own.

use std::time::Duration;

use isobench_reports::schema::MetricSchema;
use isobench_reports::schema::parallel::{CROWDS, Crowd, NAME};

use super::{
    Case, Experiment, ExperimentInfo, MeasureContext, MeasureError, Measurement, MetricInfo,
    Reading, ReadyTarget, Rounds, elapsed,
};
use crate::experiments::profile::ByProfile;
use crate::host::accounting::Accounting;
use crate::host::clock::MonotonicTime;
use crate::instance::{InstanceError, StartTimes, Stdin, start_together};
use crate::targets::Marks;

/// How the metrics are measured, for a report's reader.
const METHOD: &str = "Several instances of one target start at once: the harness spawns them one \
    after the other as fast as it can. Each instance is a sample, timed as in `startup` from just \
    before its own spawn until its line has been read. The rate is the number of instances divided \
    by the time from the first spawn until the last instance is ready. All instances share one \
    accounting cgroup, which the harness makes and joins before the clock starts. A slow target \
    gets fewer rounds.";

/// The experiment `parallel`.
#[derive(Debug)]
pub struct Parallel {
    info: ExperimentInfo,
}

impl Parallel {
    pub fn new() -> Self {
        let info = |crowd: &Crowd, metric: MetricSchema| {
            MetricInfo::from(metric)
                .at_once(crowd.at_once)
                .back_to_back()
        };
        let ready = CROWDS.iter().map(|crowd| info(crowd, crowd.ready));
        let rate = CROWDS.iter().map(|crowd| info(crowd, crowd.rate));
        Self {
            info: ExperimentInfo {
                time_per_target: Some(ByProfile {
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
        target: &ReadyTarget,
        context: &MeasureContext,
    ) -> Result<Measurement, MeasureError> {
        let crowd = &CROWDS[case];
        let mut group = context.accounting.map(Accounting::new_group).transpose()?;
        let limits = match &mut group {
            Some(group) => group.member_limit_directories(crowd.at_once)?,
            None => vec![Vec::new(); crowd.at_once as usize],
        };
        let command = |limits| {
            let mut launch = context.launch(&["ready"]);
            launch.marks = Marks::None;
            launch.cgroups = limits;
            target.command(launch, Stdin::Null)
        };
        let commands = limits.into_iter().map(command);
        let commands = commands.collect::<Result<Vec<_>, _>>()?;
        if let Some(group) = &group {
            group.enter()?;
        }
        let results = start_together(&commands, context.limit, context.interrupt)?;
        let ended = MonotonicTime::now();
        // The processes of a failed instance are killed when the group is dropped. They must not
        // fail the samples of the other instances, so then the group isn't removed with a check.
        if let Some(group) = group
            && results.iter().all(Result::is_ok)
        {
            group.remove(ended)?;
        }
        measurement(crowd, results)
    }
}

/// A reading for each instance, and the rate if no instance has failed. If all instances have
/// failed, the first one's error is returned.
fn measurement(
    crowd: &Crowd,
    results: Vec<Result<StartTimes, InstanceError>>,
) -> Result<Measurement, MeasureError> {
    let mut measurement = Measurement::default();
    let mut starts = Vec::new();
    let all_failed = results.iter().all(Result::is_err);
    for result in results {
        match result {
            Ok(start) => starts.push(start),
            Err(error) if all_failed => return Err(error.into()),
            Err(error) => {
                let reason = format!("{:#}", anyhow::Error::new(error));
                measurement.missing.push((crowd.ready.name, reason));
            }
        }
    }
    for start in &starts {
        let took = elapsed(crowd.ready.name, start.spawned, start.ready)?;
        let reading = Reading::duration(crowd.ready.name, took);
        measurement.readings.push(reading);
    }
    match measurement.missing.len() {
        0 => measurement.readings.push(rate(crowd, &starts)?),
        failed => {
            let reason = format!("{failed} of {} failed", crowd.at_once);
            measurement.missing.push((crowd.rate.name, reason));
        }
    }
    Ok(measurement)
}

/// The number of instances per second, from the first spawn until all are ready.
fn rate(crowd: &Crowd, starts: &[StartTimes]) -> Result<Reading, MeasureError> {
    let first = starts.iter().map(|start| start.spawned).min();
    let last = starts.iter().map(|start| start.ready).max();
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

    fn start(spawned: u64, ready: u64) -> StartTimes {
        let [spawned, ready] = [spawned, ready].map(|ms| MonotonicTime::from_nanos(ms * 1_000_000));
        StartTimes { spawned, ready }
    }

    fn values(measurement: &Measurement, metric: &str) -> Vec<f64> {
        let readings = measurement.readings.iter().filter(|r| r.metric == metric);
        readings.map(|reading| reading.value).collect()
    }

    #[test]
    fn each_instance_is_a_sample_and_the_rate_covers_all() {
        let results = vec![Ok(start(10, 15)), Ok(start(12, 20))];
        let measurement = measurement(&CROWDS[1], results).unwrap();
        assert_eq!(values(&measurement, "at-2"), [5e6, 8e6]);
        assert_eq!(values(&measurement, "rate-2"), [200.0]);
        assert!(measurement.missing.is_empty());
    }

    #[test]
    fn a_failed_instance_has_no_sample_and_the_crowd_has_no_rate() {
        let results = vec![Ok(start(10, 15)), Err(InstanceError::Flood)];
        let measurement = measurement(&CROWDS[1], results).unwrap();
        assert_eq!(values(&measurement, "at-2"), [5e6]);
        let missing = measurement.missing.iter();
        let missing: Vec<_> = missing.map(|(metric, _)| *metric).collect();
        assert_eq!(missing, ["at-2", "rate-2"]);
        assert!(measurement.missing[0].1.contains("flooded"));
        assert_eq!(measurement.missing[1].1, "1 of 2 failed");
    }

    #[test]
    fn every_metric_s_name_has_the_number_of_instances() {
        let info = Parallel::new().info;
        for (case, at_once) in info.cases.iter().zip([1, 2, 4, 8, 16]) {
            for name in &case.metrics {
                assert_eq!(info.metric(name).unwrap().at_once, Some(at_once));
                assert!(name.ends_with(&format!("-{at_once}")), "{name}");
            }
        }
    }
}
