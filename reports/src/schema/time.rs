//! `time` and `time-NAME`: a command of the user's own, one experiment a command.
//!
//! A run of one command without a name has the experiment `time`. A command with a name has the
//! experiment `time-NAME`. All of them have the same metrics.

use super::MetricSchema;
use crate::model::MetricFamily::{EndTime, LifeTime, Memory, ProcessorTime, StartTime};
use crate::model::Sign;

/// Name of the experiment of a command without a name.
pub const NAME: &str = "time";

/// What stands in front of a command's name in the name of its experiment.
pub const PREFIX: &str = "time-";

/// From the start until the command is ready.
pub const READY: MetricSchema = MetricSchema::time("ready", "Time until ready", StartTime);

/// From the start until the command has ended.
pub const END: MetricSchema = MetricSchema::time("end", "Time to the end", LifeTime);

/// Processor time outside the kernel.
pub const USER: MetricSchema = MetricSchema::time("user", "User time", ProcessorTime);

/// Processor time in the kernel.
pub const SYSTEM: MetricSchema = MetricSchema::time("system", "System time", ProcessorTime);

/// The most memory that was charged to the instance at any time.
pub const PEAK: MetricSchema = memory("memory-peak", "Peak memory");

/// The memory that was charged to the instance when it was ready.
pub const AT_READY: MetricSchema = memory("memory-ready", "Memory at ready");

/// From the end of the command until its cgroup is removed.
pub const TEARDOWN: MetricSchema = MetricSchema::time("teardown", "Teardown after exit", EndTime);

/// Every metric, in the order of the report.
pub const METRICS: [MetricSchema; 7] = [READY, END, USER, SYSTEM, PEAK, AT_READY, TEARDOWN];

/// Whether an experiment is of a timed command.
pub fn is_time(experiment: &str) -> bool {
    experiment == NAME || command(experiment).is_some()
}

/// The name of the command that an experiment times; nothing if the command has no name, or if the
/// experiment times no command.
pub fn command(experiment: &str) -> Option<&str> {
    let name = experiment.strip_prefix(PREFIX)?;
    (!name.is_empty()).then_some(name)
}

/// Bytes that are counted whole: nothing is subtracted, so none is below zero.
const fn memory(name: &'static str, title: &'static str) -> MetricSchema {
    MetricSchema {
        sign: Sign::NonNegative,
        ..MetricSchema::bytes(name, title, Memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_a_name_and_one_without_are_timed() {
        for (experiment, timed, name) in [
            ("time", true, None),
            ("time-sort", true, Some("sort")),
            ("time-a-b", true, Some("a-b")),
            ("time-", false, None),
            ("timer", false, None),
            ("startup", false, None),
        ] {
            assert_eq!(is_time(experiment), timed, "{experiment}");
            assert_eq!(command(experiment), name, "{experiment}");
        }
    }
}
