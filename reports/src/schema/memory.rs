//! `memory`: what one idle instance takes of the host's memory.

use super::MetricSchema;
use crate::model::MetricFamily::Memory;

/// Name of the experiment.
pub const NAME: &str = "memory";

/// What the kernel charges to the instance's cgroup, without the bytes that the program touches.
pub const CHARGE: MetricSchema =
    MetricSchema::bytes("charge", "Memory charged to one idle instance", Memory);

/// The proportional set size of the instance's processes, without the bytes that the program
/// touches.
pub const PSS: MetricSchema =
    MetricSchema::bytes("pss", "Proportional set size of one idle instance", Memory);

/// Every metric, in the order of the report.
pub const METRICS: [MetricSchema; 2] = [CHARGE, PSS];
