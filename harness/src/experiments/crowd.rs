//! Several instances of one target that start at once or at intervals, each timed from its own
//! spawn.
//!
//! All instances of a crowd start in one accounting cgroup, which the harness enters once. If the
//! harness entered another cgroup between two spawns, its own waiting would separate the spawns.
//! Each instance has limits of its own.

use std::time::Duration;

use isobench_reports::schema::MetricSchema;

use super::{MeasureContext, MeasureError, Measurement, Reading, ReadyTarget, elapsed};
use crate::host::accounting::Accounting;
use crate::host::clock::MonotonicTime;
use crate::instance::{InstanceError, StartTimes, Stdin, start_at_intervals};
use crate::targets::Marks;

/// Several instances that start at once or at intervals, and the metrics of their starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crowd {
    /// The number of instances.
    pub count: u32,
    /// The time from each start to the next.
    pub interval: Duration,
    /// From the start of each instance until its ready line.
    pub ready: MetricSchema,
    /// Starts a second, until the last instance is ready; `None` if the interval decides that.
    pub rate: Option<MetricSchema>,
}

/// Starts the instances of `crowd`, and measures them.
pub(super) fn start_crowd(
    crowd: &Crowd,
    target: &ReadyTarget,
    context: &MeasureContext,
) -> Result<Measurement, MeasureError> {
    let mut group = context.accounting.map(Accounting::new_group).transpose()?;
    let limits = match &mut group {
        Some(group) => group.member_limit_directories(crowd.count)?,
        None => vec![Vec::new(); crowd.count as usize],
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
    let (limit, interrupt) = (context.limit, context.interrupt);
    let results = start_at_intervals(&commands, crowd.interval, limit, interrupt)?;
    let ended = MonotonicTime::now();
    // The processes of a failed instance are killed when the group is dropped. They must not fail
    // the samples of the other instances, so then the group isn't removed with a check.
    if let Some(group) = group
        && results.iter().all(Result::is_ok)
    {
        group.remove(ended)?;
    }
    measurement(crowd, results)
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
    if let Some(metric) = crowd.rate {
        match measurement.missing.len() {
            0 => measurement.readings.push(rate(metric, &starts)?),
            failed => {
                let reason = format!("{failed} of {} failed", crowd.count);
                measurement.missing.push((metric.name, reason));
            }
        }
    }
    Ok(measurement)
}

/// The number of instances per second, from the first spawn until all are ready.
fn rate(metric: MetricSchema, starts: &[StartTimes]) -> Result<Reading, MeasureError> {
    let first = starts.iter().map(|start| start.spawned).min();
    let last = starts.iter().map(|start| start.ready).max();
    let (first, last) = first.zip(last).ok_or(MeasureError::Untimed)?;
    let took = elapsed(metric.name, first, last)?;
    if took.is_zero() {
        return Err(MeasureError::Untimed);
    }
    let rate = starts.len() as f64 / took.as_secs_f64();
    Ok(Reading::total(metric.name, rate))
}

#[cfg(test)]
mod tests {
    use isobench_reports::schema::parallel::CROWDS;

    use super::*;

    const TWO: Crowd = Crowd {
        count: 2,
        interval: Duration::ZERO,
        ready: CROWDS[1].ready,
        rate: Some(CROWDS[1].rate),
    };

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
        let measurement = measurement(&TWO, results).unwrap();
        assert_eq!(values(&measurement, "at-2"), [5e6, 8e6]);
        assert_eq!(values(&measurement, "rate-2"), [200.0]);
        assert!(measurement.missing.is_empty());
    }

    #[test]
    fn a_failed_instance_has_no_sample_and_the_crowd_has_no_rate() {
        let results = vec![Ok(start(10, 15)), Err(InstanceError::Flood)];
        let measurement = measurement(&TWO, results).unwrap();
        assert_eq!(values(&measurement, "at-2"), [5e6]);
        let missing = measurement.missing.iter();
        let missing: Vec<_> = missing.map(|(metric, _)| *metric).collect();
        assert_eq!(missing, ["at-2", "rate-2"]);
        assert!(measurement.missing[0].1.contains("flooded"));
        assert_eq!(measurement.missing[1].1, "1 of 2 failed");
    }
}
