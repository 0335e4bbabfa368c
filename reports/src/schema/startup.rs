//! `startup`: one instance from its start to its end.

use super::MetricSchema;
use crate::model::MetricFamily::{EndTime, ProcessorTime, StartTime, WaitingTime};
use crate::model::Sign;

/// Name of the experiment.
pub const NAME: &str = "startup";

/// From the start until the ready line of the least program.
pub const READY: MetricSchema =
    MetricSchema::time("ready", "Start-up until ready, least program", StartTime);

/// From the start until the ready line of an ordinary program.
pub const READY_ORDINARY: MetricSchema = MetricSchema::time(
    "ready-ordinary",
    "Start-up until ready, ordinary program",
    StartTime,
);

/// From the ready line until the command has ended.
pub const EXIT: MetricSchema = MetricSchema::time("exit", "Exit after ready", EndTime);

/// From the end of the command until its cgroup is removed.
pub const TEARDOWN: MetricSchema = MetricSchema::time("teardown", "Teardown after exit", EndTime);

/// Processor time of the command and its descendants.
pub const CPU: MetricSchema =
    MetricSchema::time("cpu", "Processor time, spawn to end", ProcessorTime);

/// Time from start to end without the processor time; below zero where processes ran in parallel.
pub const WAITING: MetricSchema = MetricSchema {
    sign: Sign::Any,
    ..MetricSchema::time("waiting", "Waiting, spawn to end", WaitingTime)
};

/// Every metric, in the order of the report.
pub const METRICS: [MetricSchema; 6] = [READY, READY_ORDINARY, EXIT, TEARDOWN, CPU, WAITING];

/// The phases of a start in which a virtual machine is made, before anything runs in it.
pub const VIRTUALIZATION: [&str; 4] = ["open-kvm", "create-vm", "memory", "vcpu"];
