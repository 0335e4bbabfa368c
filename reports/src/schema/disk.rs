//! `disk`: reads, writes and flushes of one file, and the making and removal of small ones.
//!
//! Each title says what is in the page cache and what is durable.

use super::MetricSchema;
use crate::model::MetricFamily::{DeviceRate, DeviceThroughput, OperationTime, Rate, Throughput};

/// Name of the experiment.
pub const NAME: &str = "disk";

/// Bytes a second of a sequential read past the page cache.
pub const SEQ_READ_DIRECT: MetricSchema = MetricSchema::throughput(
    "seq-read-direct",
    "Sequential read, 1 MiB, O_DIRECT",
    DeviceThroughput,
);
/// Bytes a second of a sequential write past the page cache.
pub const SEQ_WRITE_DIRECT: MetricSchema = MetricSchema::throughput(
    "seq-write-direct",
    "Sequential write, 1 MiB, O_DIRECT, not flushed",
    DeviceThroughput,
);
/// Bytes a second of a sequential read from the page cache.
pub const SEQ_READ_CACHED: MetricSchema = MetricSchema::throughput(
    "seq-read-cached",
    "Sequential read, 1 MiB, buffered, from the page cache",
    Throughput,
);
/// Bytes a second of a sequential write through the page cache, up to the end of its flush.
pub const SEQ_WRITE_BUFFERED: MetricSchema = MetricSchema::throughput(
    "seq-write-buffered",
    "Sequential write, 1 MiB, buffered, with one flush at the end",
    Throughput,
);
/// Random reads a second past the page cache, one at a time.
pub const RAND_READ_DIRECT: MetricSchema = MetricSchema::rate(
    "rand-read-direct",
    "Random read, 4 KiB, O_DIRECT, one at a time",
    DeviceRate,
);
/// Random writes a second past the page cache, one at a time.
pub const RAND_WRITE_DIRECT: MetricSchema = MetricSchema::rate(
    "rand-write-direct",
    "Random write, 4 KiB, O_DIRECT, one at a time, not flushed",
    DeviceRate,
);
/// Random reads a second past the page cache, 16 at a time.
pub const RAND_READ_DIRECT_16: MetricSchema = MetricSchema::rate(
    "rand-read-direct-16",
    "Random read, 4 KiB, O_DIRECT, 16 at a time",
    DeviceRate,
);
/// Random writes a second past the page cache, 16 at a time.
pub const RAND_WRITE_DIRECT_16: MetricSchema = MetricSchema::rate(
    "rand-write-direct-16",
    "Random write, 4 KiB, O_DIRECT, 16 at a time, not flushed",
    DeviceRate,
);
/// The median time of a flush.
pub const FSYNC_MEDIAN: MetricSchema = MetricSchema::time(
    "fsync-p50",
    "Flush (fdatasync) of a buffered 4 KiB write, median",
    OperationTime,
);
/// The 99th percentile of the time of a flush.
pub const FSYNC_TAIL: MetricSchema = MetricSchema::time(
    "fsync-p99",
    "Flush (fdatasync) of a buffered 4 KiB write, 99th percentile",
    OperationTime,
);
/// Small files made a second.
pub const FILE_CREATE: MetricSchema = MetricSchema::rate(
    "file-create",
    "Making of a 4 KiB file, buffered, not flushed",
    Rate,
);
/// Small files removed a second.
pub const FILE_UNLINK: MetricSchema = MetricSchema::rate(
    "file-unlink",
    "Removal of a 4 KiB file just made, cached, not flushed",
    Rate,
);

/// Every metric, in the order of the report.
pub const METRICS: [MetricSchema; 12] = [
    SEQ_READ_DIRECT,
    SEQ_WRITE_DIRECT,
    SEQ_READ_CACHED,
    SEQ_WRITE_BUFFERED,
    RAND_READ_DIRECT,
    RAND_WRITE_DIRECT,
    RAND_READ_DIRECT_16,
    RAND_WRITE_DIRECT_16,
    FSYNC_MEDIAN,
    FSYNC_TAIL,
    FILE_CREATE,
    FILE_UNLINK,
];
