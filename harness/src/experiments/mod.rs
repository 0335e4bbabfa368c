//! Experiments: what is measured, on every target, by the same code.
//!
//! An experiment is a list of *cases*; measuring a case once takes one fresh instance of one target and gives the
//! values of its metrics. The runner decides when each case is measured on which target.

mod bench;
mod cpu;
mod density;
mod disk;
mod error;
mod host_end;
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
mod startup;

use std::time::Duration;

pub use bench::{Bench, Subject};
use bytesize::ByteSize;
pub use error::MeasureError;
pub use host_end::NetError;
pub use info::{
    Applicability, Case, DiskFile, ExperimentInfo, Inclusion, MetricInfo, Parts, Rounds,
};
use isobench_container::Privilege;
use isobench_reports::model::{Latencies, TOTAL};

use crate::experiments::profile::Profile;
use crate::host::clock::MonotonicTime;
use crate::targets::TargetInfo;

/// One value that measuring a case gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Name of the metric.
    pub metric: &'static str,
    /// [`TOTAL`], or the name of a part.
    pub part: String,
    /// The value, in the metric's unit.
    pub value: f64,
    /// How long each operation took, where the workload has told.
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

    fn duration(metric: &'static str, value: Duration) -> Self {
        Self::total(metric, nanoseconds(value))
    }
}

/// What measuring a case once gave.
#[derive(Debug, Default)]
pub struct Measured {
    /// Its values.
    pub readings: Vec<Reading>,
    /// Metrics that couldn't be had, each with the reason; the other ones count all the same.
    pub missing: Vec<(&'static str, String)>,
    /// Processor time of the harness that was the host's part of the work, and no cost of measuring.
    pub host_work: Duration,
}

impl From<Vec<Reading>> for Measured {
    fn from(readings: Vec<Reading>) -> Self {
        Self {
            readings,
            ..Self::default()
        }
    }
}

fn elapsed(phase: &str, from: MonotonicTime, to: MonotonicTime) -> Result<Duration, MeasureError> {
    to.since(from).ok_or_else(|| MeasureError::NegativePhase {
        phase: phase.to_owned(),
    })
}

/// The time that is left of `life`, an instance's, without `cpu_time`, that of its processes: they waited. Where some of
/// them ran beside each other, it is less than they waited, and may be below zero.
fn waiting(life: Duration, cpu_time: Duration) -> f64 {
    nanoseconds(life) - nanoseconds(cpu_time)
}

fn nanoseconds(duration: Duration) -> f64 {
    duration.as_nanos() as f64
}

/// One thing that is measured.
pub trait Experiment: std::fmt::Debug {
    /// The experiment, described.
    fn info(&self) -> &ExperimentInfo;

    /// Whether a case can be asked of a target that takes part.
    fn applicability(&self, case: usize, target: &TargetInfo) -> Applicability {
        let _ = (case, target);
        Applicability::Measured
    }

    /// Measures one case on one target.
    ///
    /// # Errors
    /// [`MeasureError`]: this sample has no value; the next may have.
    fn measure(
        &self,
        case: usize,
        subject: &Subject,
        bench: &Bench,
    ) -> Result<Measured, MeasureError>;
}

/// Every experiment, in the order of the report.
pub fn all(profile: Profile) -> Vec<Box<dyn Experiment>> {
    vec![
        Box::new(startup::Startup::new()),
        Box::new(start_parts::StartParts::new(Privilege::of_this_process())),
        Box::new(parallel::Parallel::new()),
        Box::new(start_cold::StartCold::new()),
        Box::new(start_gaps::StartGaps::new()),
        Box::new(start_beside::StartBeside::new()),
        Box::new(memory::Memory::new()),
        Box::new(density::Density::new(profile)),
        Box::new(cpu::Cpu::new(profile)),
        Box::new(disk::Disk::new(profile)),
        Box::new(net::Net::new(profile)),
        Box::new(image::Image::new(profile)),
        Box::new(isolation::Isolation::new()),
    ]
}

/// Bytes that the disk experiment's file has under `profile`.
pub fn disk_size(profile: Profile) -> ByteSize {
    disk::file_size(profile)
}
