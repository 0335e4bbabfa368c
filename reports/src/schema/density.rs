//! `density`: what one more idle instance takes of a host that already runs some.

use super::MetricSchema;
use crate::model::MetricFamily::Memory;

/// Name of the experiment.
pub const NAME: &str = "density";

/// Memory of one more instance: the slope of the line through the numbers of instances.
pub const PER_INSTANCE: MetricSchema =
    MetricSchema::bytes("per-instance", "Memory of one more idle instance", Memory);

/// Memory that all instances share: the value of that line at zero instances.
pub const SHARED: MetricSchema =
    MetricSchema::bytes("shared", "Memory that instances share", Memory);

/// A number of instances, with the metric of their memory.
#[derive(Debug, Clone, Copy)]
pub struct Crowd {
    /// The number of instances.
    pub count: u32,
    /// Memory charged to all of them together.
    pub charge: MetricSchema,
}

/// Every number of instances, ascending.
pub const CROWDS: [Crowd; 7] = [
    crowd(1, "charge-1", "1 idle"),
    crowd(2, "charge-2", "2 idle"),
    crowd(4, "charge-4", "4 idle"),
    crowd(8, "charge-8", "8 idle"),
    crowd(16, "charge-16", "16 idle"),
    crowd(32, "charge-32", "32 idle"),
    crowd(64, "charge-64", "64 idle"),
];

/// Every metric, in the order of the report.
pub const METRICS: [MetricSchema; 9] = [
    PER_INSTANCE,
    SHARED,
    CROWDS[0].charge,
    CROWDS[1].charge,
    CROWDS[2].charge,
    CROWDS[3].charge,
    CROWDS[4].charge,
    CROWDS[5].charge,
    CROWDS[6].charge,
];

const fn crowd(count: u32, name: &'static str, title: &'static str) -> Crowd {
    Crowd {
        count,
        charge: MetricSchema::bytes(name, title, Memory),
    }
}
