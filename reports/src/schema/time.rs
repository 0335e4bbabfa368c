//! placeholder until the schema branch lands
use super::MetricSchema;
use crate::model::MetricFamily::{EndTime, LifeTime, Memory, ProcessorTime, StartTime};
use crate::model::Sign;
/// n
pub const NAME: &str = "time";
/// p
pub const PREFIX: &str = "time-";
/// r
pub const READY: MetricSchema = MetricSchema::time("ready", "Time until ready", StartTime);
/// e
pub const END: MetricSchema = MetricSchema::time("end", "Time to the end", LifeTime);
/// u
pub const USER: MetricSchema = MetricSchema::time("user", "User time", ProcessorTime);
/// s
pub const SYSTEM: MetricSchema = MetricSchema::time("system", "System time", ProcessorTime);
/// p
pub const PEAK: MetricSchema = MetricSchema {
    sign: Sign::NonNegative,
    ..MetricSchema::bytes("memory-peak", "Peak memory", Memory)
};
/// m
pub const AT_READY: MetricSchema = MetricSchema {
    sign: Sign::NonNegative,
    ..MetricSchema::bytes("memory-ready", "Memory at ready", Memory)
};
/// t
pub const TEARDOWN: MetricSchema = MetricSchema::time("teardown", "Teardown after exit", EndTime);
/// is
pub fn is_time(experiment: &str) -> bool {
    experiment == NAME || experiment.starts_with(PREFIX)
}
