//! `start-cold`: starts of targets whose files are on the disk alone, beside starts from memory.

use super::MetricSchema;
use crate::model::MetricFamily::{BytesRead, StartTime};

/// Name of the experiment.
pub const NAME: &str = "start-cold";

/// From the start until the ready line, with the target's files on the disk alone.
pub const COLD: MetricSchema =
    MetricSchema::time("cold", "Start-up until ready, files on disk", StartTime);

/// From the start until the ready line, with the target's files in the page cache.
pub const WARM: MetricSchema =
    MetricSchema::time("warm", "Start-up until ready, files in memory", StartTime);

/// Bytes of the target's files that a cold start reads.
pub const READ: MetricSchema =
    MetricSchema::bytes("read", "Read from its files by a cold start", BytesRead);

/// Every metric, in the order of the report.
pub const METRICS: [MetricSchema; 3] = [COLD, WARM, READ];
