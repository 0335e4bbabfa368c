//! `start-parts`: what each mechanism of a container adds to a start.

use super::MetricSchema;
use crate::model::MetricFamily::{LifeTime, ProcessorTime, StartTime, WaitingTime};
use crate::model::Sign;

/// Name of the experiment.
pub const NAME: &str = "start-parts";

/// From the start until the ready line.
pub const READY: MetricSchema = MetricSchema::time("ready", "Start-up until ready", StartTime);

/// From the start until the command has ended.
pub const LIFE: MetricSchema = MetricSchema::time("life", "Spawn to end", LifeTime);

/// Processor time of the command and its descendants.
pub const CPU: MetricSchema = MetricSchema::time("cpu", "Processor time", ProcessorTime);

/// Time from start to end without the processor time; below zero where processes ran in parallel.
pub const WAITING: MetricSchema = MetricSchema {
    sign: Sign::Any,
    ..MetricSchema::time("waiting", "Waiting", WaitingTime)
};

/// Every metric, in the order of the report.
pub const METRICS: [MetricSchema; 4] = [READY, LIFE, CPU, WAITING];
