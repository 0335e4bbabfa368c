//! Experiments: what is measured, on every target, by the same code.
//!
//! An experiment is a list of *cases*; measuring a case once takes one fresh instance of one target and gives the
//! values of its metrics. The runner decides when each case is measured on which target.

mod bench;
mod cpu;
mod density;
mod disk;
mod error;
mod image;
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
use isobench_container::is_privileged;
use isobench_reports::model::{Latencies, Metric, Part, TOTAL};
use isobench_reports::schema::MetricSchema;
pub use net::NetError;

use crate::experiments::profile::Profile;
use crate::host::clock::MonotonicTime;
use crate::targets::TargetInfo;

/// The gap before starts that follow each other: the harness waits for nothing, and what it does between two of them is all
/// that the host is idle for.
const BACK_TO_BACK: Duration = Duration::ZERO;

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
    /// Stable name.
    fn name(&self) -> &'static str;

    /// How it is measured, in plain words.
    fn method(&self) -> &'static str;

    /// The figures that it takes.
    fn metrics(&self) -> Vec<MetricSchema>;

    /// The parts of `metric`, in order, each explained; `subjects` add the phases of their launchers.
    fn parts(&self, metric: &str, subjects: &[&TargetInfo]) -> Vec<Part>;

    /// How many instances are started at once for a sample of `metric`, stay or have run, if that is what it is about.
    fn at_once(&self, metric: &str) -> Option<u32> {
        let _ = metric;
        None
    }

    /// How long the host is left idle before each start that `metric` is of; nothing for what isn't of starts.
    fn idle_gap(&self, metric: &str) -> Option<Duration> {
        let _ = metric;
        None
    }

    /// Whether a run that names no experiments has it.
    fn is_default(&self) -> bool {
        true
    }

    /// Whether it works on the file at [`Bench::disk`].
    fn uses_disk(&self) -> bool {
        false
    }

    /// The cases, each with the metrics that it gives.
    fn cases(&self) -> Vec<Vec<&'static str>>;

    /// The part of its metrics that a case gives values of; [`TOTAL`] if it gives whole ones.
    fn part(&self, case: usize) -> &str {
        let _ = case;
        TOTAL
    }

    /// Whether a case can be asked of a target that takes part.
    fn applies(&self, case: usize, target: &TargetInfo) -> bool {
        let _ = (case, target);
        true
    }

    /// Why a case can't be asked of a target of which a reader would expect it; the reason is a row of the results.
    fn why_not(&self, case: usize, target: &TargetInfo) -> Option<&'static str> {
        let _ = (case, target);
        None
    }

    /// Rounds to warm up and to measure under `profile`.
    fn rounds(&self, profile: Profile) -> Rounds;

    /// The time that one target may take; once it has, no further round of it is begun.
    fn patience(&self, profile: Profile) -> Option<Duration> {
        let _ = profile;
        None
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

    /// The definition of this experiment for a results file.
    fn describe(&self, targets: &[&TargetInfo]) -> isobench_reports::model::Experiment {
        isobench_reports::model::Experiment {
            name: self.name().to_owned(),
            method: self.method().to_owned(),
            metrics: self
                .metrics()
                .iter()
                .map(|metric| Metric {
                    at_once: self.at_once(metric.name),
                    idle_gap_ms: self
                        .idle_gap(metric.name)
                        .map(|gap| u64::try_from(gap.as_millis()).unwrap_or(u64::MAX)),
                    parts: self.parts(metric.name, targets),
                    ..metric.to_metric()
                })
                .collect(),
        }
    }
}

/// How often each case is measured on each target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounds {
    /// Rounds whose samples are kept but don't count.
    pub warmup: u32,
    /// Rounds that count.
    pub measured: u32,
}

/// Every experiment, in the order of the report.
pub fn all(profile: Profile) -> Vec<Box<dyn Experiment>> {
    vec![
        Box::new(startup::Startup),
        Box::new(start_parts::StartParts::new(is_privileged())),
        Box::new(parallel::Parallel),
        Box::new(start_cold::StartCold),
        Box::new(start_gaps::StartGaps),
        Box::new(start_beside::StartBeside),
        Box::new(memory::Memory),
        Box::new(density::Density::new(profile)),
        Box::new(cpu::Cpu::new(profile)),
        Box::new(disk::Disk::new(profile)),
        Box::new(net::Net::new(profile)),
        Box::new(image::Image::new(profile)),
        Box::new(isolation::Isolation),
    ]
}

/// Bytes that the disk experiment's file has under `profile`.
pub fn disk_size(profile: Profile) -> ByteSize {
    disk::file_size(profile)
}

fn part(name: &str, explanation: &str) -> Part {
    Part {
        name: name.to_owned(),
        explanation: explanation.to_owned(),
        base: None,
    }
}
