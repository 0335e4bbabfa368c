//! The cases of the experiment `disk`. The title of each metric says what is in the page cache and
//! what is durable.

use isobench_reports::schema::MetricSchema;
use isobench_reports::schema::disk::{
    FILE_CREATE, FILE_UNLINK, FSYNC_MEDIAN, FSYNC_TAIL, RAND_READ_DIRECT, RAND_READ_DIRECT_16,
    RAND_WRITE_DIRECT, RAND_WRITE_DIRECT_16, SEQ_READ_CACHED, SEQ_READ_DIRECT, SEQ_WRITE_BUFFERED,
    SEQ_WRITE_DIRECT,
};

/// One way to access the disk.
#[derive(Debug)]
pub(super) struct DiskCase {
    /// The workload's name of the operation.
    pub operation: &'static str,
    /// Whether the operations bypass the page cache.
    pub direct: bool,
    /// Whether the operations go through the file in order, not at random.
    pub sequential: bool,
    /// The number of operations that are under way at once.
    pub depth: u32,
    /// The metrics that the case gives.
    pub metrics: &'static [MetricSchema],
}

impl DiskCase {
    /// Whether the operations make or remove files in a directory, instead of accessing the disk
    /// file.
    pub(super) fn is_about_files(&self) -> bool {
        matches!(self.operation, "create" | "unlink")
    }

    /// Whether the workload reports the time of each single operation.
    pub(super) fn has_latencies(&self) -> bool {
        !self.sequential && self.depth == 1
    }
}

pub(super) const CASES: [DiskCase; 11] = [
    DiskCase {
        operation: "seq-read",
        direct: true,
        sequential: true,
        depth: 1,
        metrics: &[SEQ_READ_DIRECT],
    },
    DiskCase {
        operation: "seq-write",
        direct: true,
        sequential: true,
        depth: 1,
        metrics: &[SEQ_WRITE_DIRECT],
    },
    DiskCase {
        operation: "seq-read",
        direct: false,
        sequential: true,
        depth: 1,
        metrics: &[SEQ_READ_CACHED],
    },
    DiskCase {
        operation: "seq-write",
        direct: false,
        sequential: true,
        depth: 1,
        metrics: &[SEQ_WRITE_BUFFERED],
    },
    DiskCase {
        operation: "rand-read",
        direct: true,
        sequential: false,
        depth: 1,
        metrics: &[RAND_READ_DIRECT],
    },
    DiskCase {
        operation: "rand-write",
        direct: true,
        sequential: false,
        depth: 1,
        metrics: &[RAND_WRITE_DIRECT],
    },
    DiskCase {
        operation: "rand-read",
        direct: true,
        sequential: false,
        depth: 16,
        metrics: &[RAND_READ_DIRECT_16],
    },
    DiskCase {
        operation: "rand-write",
        direct: true,
        sequential: false,
        depth: 16,
        metrics: &[RAND_WRITE_DIRECT_16],
    },
    DiskCase {
        operation: "fsync",
        direct: false,
        sequential: false,
        depth: 1,
        metrics: &[FSYNC_MEDIAN, FSYNC_TAIL],
    },
    DiskCase {
        operation: "create",
        direct: false,
        sequential: false,
        depth: 1,
        metrics: &[FILE_CREATE],
    },
    DiskCase {
        operation: "unlink",
        direct: false,
        sequential: false,
        depth: 1,
        metrics: &[FILE_UNLINK],
    },
];
