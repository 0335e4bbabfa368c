//! `start-beside`: starts while other instances of the same target run.

use super::MetricSchema;
use crate::model::MetricFamily::StartTime;

/// Name of the experiment.
pub const NAME: &str = "start-beside";

/// How many instances run already, with the metric of the starts beside them.
pub const CROWDS: [(u32, MetricSchema); 4] = [
    beside(0, "beside-0", "Start-up until ready, beside none"),
    beside(10, "beside-10", "Start-up until ready, beside 10"),
    beside(50, "beside-50", "Start-up until ready, beside 50"),
    beside(100, "beside-100", "Start-up until ready, beside 100"),
];

/// Every metric, in the order of the report.
pub const METRICS: [MetricSchema; 4] = [CROWDS[0].1, CROWDS[1].1, CROWDS[2].1, CROWDS[3].1];

const fn beside(running: u32, name: &'static str, title: &'static str) -> (u32, MetricSchema) {
    (running, MetricSchema::time(name, title, StartTime))
}
