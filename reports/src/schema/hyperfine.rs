//! `hyperfine`: what an export of hyperfine has. isobench itself measures none of it, so it isn't
//! among [`EXPERIMENTS`](super::EXPERIMENTS).

use super::MetricSchema;
use crate::model::MetricFamily::{LifeTime, Memory, ProcessorTime};
use crate::model::Sign;

/// Name of the experiment.
pub const NAME: &str = "hyperfine";

/// From the spawn until the process is reaped, by hyperfine's clock.
pub const END: MetricSchema = MetricSchema::time("end", "Time to the end, by hyperfine", LifeTime);

/// Processor time outside the kernel.
pub const USER: MetricSchema = MetricSchema::time("user", "User time, by hyperfine", ProcessorTime);

/// Processor time in the kernel.
pub const SYSTEM: MetricSchema =
    MetricSchema::time("system", "System time, by hyperfine", ProcessorTime);

/// The most memory that was resident at any time: `ru_maxrss` of getrusage(2), which isn't what a
/// cgroup is charged.
pub const PEAK: MetricSchema = MetricSchema {
    sign: Sign::NonNegative,
    ..MetricSchema::bytes(
        "memory-peak-resident",
        "Peak resident memory, by hyperfine",
        Memory,
    )
};

/// Every metric, in the order of the report.
pub const METRICS: [MetricSchema; 4] = [END, USER, SYSTEM, PEAK];
