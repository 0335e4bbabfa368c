//! Experiments: what is measured. The same code measures every target.
//!
//! An experiment is a list of *cases*. To measure a case once takes one fresh instance of one
//! target, and gives values of the case's metrics. The runner decides when each case is measured on
//! which target.

mod burst;
mod context;
mod cpu;
mod crowd;
mod density;
mod disk;
mod error;
mod explain;
mod host_socket;
mod image;
mod info;
mod isolation;
mod memory;
mod net;
mod parallel;
pub mod profile;
mod start_beside;
mod start_cold;
mod start_gaps;
mod start_parts;
mod start_warm;
mod startup;
mod time;

use std::time::Duration;

use bytesize::ByteSize;
pub use context::{MeasureContext, ReadyTarget};
pub(crate) use cpu::Cpu;
pub use error::MeasureError;
pub use explain::Explain;
pub use host_socket::NetError;
pub use info::{
    Applicability, Case, ContentsId, DiskFile, ExperimentInfo, GiveUp, Inclusion, MetricInfo,
    Parts, Rounds,
};
use isobench_container::Privilege;
use isobench_reports::model::{Latencies, TOTAL};
pub(crate) use startup::Startup;
pub use time::Time;

use crate::experiments::profile::Profile;
use crate::host::clock::MonotonicTime;
use crate::targets::TargetInfo;

/// One measured value.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The name of the metric.
    pub metric: &'static str,
    /// The part of the metric, or [`TOTAL`] for the whole.
    pub part: String,
    /// The value, in the metric's unit.
    pub value: f64,
    /// How long the single operations took; `None` if the workload didn't report that.
    pub latencies: Option<Latencies>,
}

impl Reading {
    fn total(metric: &'static str, value: f64) -> Self {
        Self::of_part(metric, TOTAL, value)
    }

    fn of_part(metric: &'static str, part: &str, value: f64) -> Self {
        Self {
            metric,
            part: part.to_owned(),
            value,
            latencies: None,
        }
    }

    /// The sum of `parts` as the whole, and each part.
    fn sum_of_parts<P: AsRef<str>>(
        metric: &'static str,
        parts: impl IntoIterator<Item = (P, f64)>,
    ) -> Vec<Self> {
        let parts = parts.into_iter();
        let parts: Vec<_> = parts
            .map(|(part, value)| Self::of_part(metric, part.as_ref(), value))
            .collect();
        let whole = Self::total(metric, parts.iter().map(|part| part.value).sum());
        [whole].into_iter().chain(parts).collect()
    }

    fn duration(metric: &'static str, value: Duration) -> Self {
        Self::total(metric, nanoseconds(value))
    }
}

/// The result of measuring a case once.
#[derive(Debug, Default)]
pub struct Measurement {
    /// The measured values.
    pub readings: Vec<Reading>,
    /// The metrics that could not be measured, each with the reason. The readings of all other
    /// metrics count.
    pub missing: Vec<(&'static str, String)>,
    /// The metrics that the target or the host can't give, each with the reason. That is no
    /// failure.
    pub unavailable: Vec<(&'static str, String)>,
    /// The harness's processor time for the host's part of the work. This time is no cost of
    /// measuring.
    pub host_work: Duration,
}

impl From<Vec<Reading>> for Measurement {
    fn from(readings: Vec<Reading>) -> Self {
        Self {
            readings,
            ..Self::default()
        }
    }
}

/// The time from `from` to `to`, which is called `phase` in an error.
fn elapsed(phase: &str, from: MonotonicTime, to: MonotonicTime) -> Result<Duration, MeasureError> {
    to.since(from).ok_or_else(|| MeasureError::NegativePhase {
        phase: phase.to_owned(),
    })
}

/// The time in nanoseconds in which an instance's processes waited: the instance's `life` minus the
/// processes' `cpu_time`. If processes ran at the same time on several processors, the result is
/// smaller than the time in which they waited, and may be below zero.
fn waiting(life: Duration, cpu_time: Duration) -> f64 {
    nanoseconds(life) - nanoseconds(cpu_time)
}

fn nanoseconds(duration: Duration) -> f64 {
    duration.as_nanos() as f64
}

/// An experiment.
pub trait Experiment: std::fmt::Debug {
    /// The experiment's description.
    fn info(&self) -> &ExperimentInfo;

    /// Whether a case can be measured on `target`, which takes part in the experiment.
    fn applicability(&self, case: usize, target: &TargetInfo) -> Applicability {
        let _ = (case, target);
        Applicability::Measured
    }

    /// Measures one case on one target.
    ///
    /// # Errors
    /// [`MeasureError`]: this sample has no value. The next sample may have one.
    fn measure(
        &self,
        case: usize,
        target: &ReadyTarget,
        context: &MeasureContext,
    ) -> Result<Measurement, MeasureError>;
}

/// All experiments, in the order of the report.
pub fn all(profile: Profile) -> Vec<Box<dyn Experiment>> {
    vec![
        Box::new(Startup::new()),
        Box::new(start_parts::StartParts::new(Privilege::of_this_process())),
        Box::new(parallel::Parallel::new()),
        Box::new(burst::Burst::new()),
        Box::new(start_cold::StartCold::new()),
        Box::new(start_gaps::StartGaps::new()),
        Box::new(start_beside::StartBeside::new()),
        Box::new(start_warm::StartWarm::new()),
        Box::new(memory::Memory::new()),
        Box::new(density::Density::new(profile)),
        Box::new(Cpu::new(profile)),
        Box::new(disk::Disk::new(profile)),
        Box::new(net::Net::new(profile)),
        Box::new(image::Image::new(profile)),
        Box::new(isolation::Isolation::new()),
    ]
}

/// The size of the disk experiment's file in a run of `profile`.
pub fn disk_size(profile: Profile) -> ByteSize {
    disk::file_size(profile)
}
