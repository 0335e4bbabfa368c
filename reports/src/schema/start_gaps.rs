//! `start-gaps`: starts after the host has been idle.

use std::time::Duration;

use super::MetricSchema;
use crate::model::MetricFamily::StartTime;

/// Name of the experiment.
pub const NAME: &str = "start-gaps";

/// For how long the host is idle before a start, with the metric of these starts.
pub const GAPS: [(Duration, MetricSchema); 3] = [
    gap(0, "gap-0", "Start-up until ready, no gap before it"),
    gap(
        50,
        "gap-50",
        "Start-up until ready, after 50 ms of idleness",
    ),
    gap(
        250,
        "gap-250",
        "Start-up until ready, after 250 ms of idleness",
    ),
];

/// Every metric, in the order of the report.
pub const METRICS: [MetricSchema; 3] = [GAPS[0].1, GAPS[1].1, GAPS[2].1];

const fn gap(ms: u64, name: &'static str, title: &'static str) -> (Duration, MetricSchema) {
    let metric = MetricSchema::time(name, title, StartTime);
    (Duration::from_millis(ms), metric)
}
