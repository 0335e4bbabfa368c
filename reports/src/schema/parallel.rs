//! `parallel`: several instances of one target that start at once.

use super::MetricSchema;
use crate::model::MetricFamily::{Rate, StartTime};

/// Name of the experiment.
pub const NAME: &str = "parallel";

/// A number of instances that start at once, with the metrics of these starts.
#[derive(Debug, Clone, Copy)]
pub struct Crowd {
    /// The number of instances.
    pub at_once: u32,
    /// From the start of each instance until its ready line.
    pub ready: MetricSchema,
    /// Starts a second, until the last instance is ready.
    pub rate: MetricSchema,
}

/// Every number of instances, ascending.
pub const CROWDS: [Crowd; 5] = [
    crowd(1, ["at-1", "1 at once"], ["rate-1", "Rate, 1 at once"]),
    crowd(2, ["at-2", "2 at once"], ["rate-2", "Rate, 2 at once"]),
    crowd(4, ["at-4", "4 at once"], ["rate-4", "Rate, 4 at once"]),
    crowd(8, ["at-8", "8 at once"], ["rate-8", "Rate, 8 at once"]),
    crowd(16, ["at-16", "16 at once"], ["rate-16", "Rate, 16 at once"]),
];

/// Every metric, in the order of the report: first the times, then the rates.
pub const METRICS: [MetricSchema; 10] = {
    let mut metrics = [CROWDS[0].ready; 10];
    let mut index = 0;
    while index < CROWDS.len() {
        metrics[index] = CROWDS[index].ready;
        metrics[CROWDS.len() + index] = CROWDS[index].rate;
        index += 1;
    }
    metrics
};

const fn crowd(at_once: u32, ready: [&'static str; 2], rate: [&'static str; 2]) -> Crowd {
    Crowd {
        at_once,
        ready: MetricSchema::time(ready[0], ready[1], StartTime),
        rate: MetricSchema::rate(rate[0], rate[1], Rate),
    }
}
