//! `explain`: what a timed command does that costs something, counted in one run of its own. The
//! experiment of a command with the name NAME is `explain-NAME`.

use super::{MetricSchema, cpu, startup};
use crate::model::Better::Lower;
use crate::model::MetricFamily::BytesRead;
use crate::model::Sign;

/// Name of the experiment of the only command of a run.
pub const NAME: &str = "explain";

/// The beginning of the name of the experiment of a command with a name.
pub const PREFIX: &str = "explain-";

/// System calls to the host's kernel, launcher included; the parts are the calls' names.
pub const CALLS: MetricSchema = MetricSchema::count("calls", "Host system calls", Lower);
/// Page faults of the command and of those descendants that were waited for; the parts are `minor`
/// and `major`.
pub const FAULTS: MetricSchema = MetricSchema::count("page-faults", "Page faults", Lower);
/// Processes and threads that processes started; the parts are `processes` and `threads`.
pub const TASKS: MetricSchema = MetricSchema::count("tasks", "Processes and threads", Lower);
/// Bytes that system calls moved; the parts are `read`, `written` and `sent`.
pub const TRAFFIC: MetricSchema = MetricSchema {
    sign: Sign::NonNegative,
    ..MetricSchema::bytes("traffic", "Bytes moved by system calls", BytesRead)
};
/// How often a guest was left; the parts are the reasons.
pub const EXITS: MetricSchema = MetricSchema::count("exits", "VM exits", Lower);

/// Every metric, in the order of the report.
pub const METRICS: [MetricSchema; 5] = [CALLS, FAULTS, TASKS, TRAFFIC, EXITS];

/// The experiments whose figures are prices of what a command does.
pub const PRICES: [&str; 2] = [startup::NAME, cpu::NAME];

/// Whether an experiment counts what a timed command does.
pub fn is_explanation(experiment: &str) -> bool {
    experiment == NAME || experiment.starts_with(PREFIX)
}

/// The name of the experiment that explains the timed command `time_experiment`, such as `time` or
/// `time-NAME`; `None` if the name isn't that of a timed command.
pub fn of_time(time_experiment: &str) -> Option<String> {
    if time_experiment == super::time::NAME {
        return Some(NAME.to_owned());
    }
    let command = time_experiment.strip_prefix(super::time::PREFIX)?;
    Some(format!("{PREFIX}{command}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_and_its_explanation_have_the_same_name() {
        assert_eq!(of_time("time").as_deref(), Some("explain"));
        assert_eq!(of_time("time-web").as_deref(), Some("explain-web"));
        assert_eq!(of_time("startup"), None);
        assert!(["explain", "explain-web"].map(is_explanation) == [true; 2]);
        assert!(!is_explanation("explained"));
    }
}
