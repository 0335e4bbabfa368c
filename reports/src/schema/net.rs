//! `net`: TCP between an instance and the host.

use super::MetricSchema;
use crate::model::MetricFamily::{OperationTime, Rate, Throughput};

/// Name of the experiment.
pub const NAME: &str = "net";

/// Bytes a second from the host to the instance.
pub const THROUGHPUT_IN: MetricSchema = MetricSchema::throughput(
    "throughput-in",
    "TCP throughput, host to instance",
    Throughput,
);
/// Bytes a second from the instance to the host.
pub const THROUGHPUT_OUT: MetricSchema = MetricSchema::throughput(
    "throughput-out",
    "TCP throughput, instance to host",
    Throughput,
);
/// The median time of a round trip of one byte.
pub const ROUND_TRIP_MEDIAN: MetricSchema = MetricSchema::time(
    "round-trip-p50",
    "TCP round trip of one byte, median",
    OperationTime,
);
/// The 99th percentile of the time of a round trip of one byte.
pub const ROUND_TRIP_TAIL: MetricSchema = MetricSchema::time(
    "round-trip-p99",
    "TCP round trip of one byte, 99th percentile",
    OperationTime,
);
/// Connections a second, one after the other.
pub const CONNECTIONS: MetricSchema =
    MetricSchema::rate("connections", "TCP connections, one after the other", Rate);

/// Every metric, in the order of the report.
pub const METRICS: [MetricSchema; 5] = [
    THROUGHPUT_IN,
    THROUGHPUT_OUT,
    ROUND_TRIP_MEDIAN,
    ROUND_TRIP_TAIL,
    CONNECTIONS,
];
