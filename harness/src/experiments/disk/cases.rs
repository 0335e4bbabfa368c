//! The cases of the disk experiment: each title says what is in the page cache and what is durable.

use isobench_reports::schema::MetricSchema;
use isobench_reports::schema::disk::{
    FILE_CREATE, FILE_UNLINK, FSYNC_MEDIAN, FSYNC_TAIL, RAND_READ_DIRECT, RAND_READ_DIRECT_16,
    RAND_WRITE_DIRECT, RAND_WRITE_DIRECT_16, SEQ_READ_CACHED, SEQ_READ_DIRECT, SEQ_WRITE_BUFFERED,
    SEQ_WRITE_DIRECT,
};

/// One kind of access.
#[derive(Debug)]
pub(super) struct Access {
    /// As the workload calls it.
    pub operation: &'static str,
    /// Past the page cache.
    pub direct: bool,
    /// In order, or at random.
    pub sequential: bool,
    /// Operations under way at once.
    pub depth: u32,
    /// What is measured.
    pub metrics: &'static [MetricSchema],
}

impl Access {
    /// Whether it is about files in a directory, rather than about what is in the one file.
    pub(super) fn is_of_files(&self) -> bool {
        matches!(self.operation, "create" | "unlink")
    }

    /// Whether the workload tells how long each operation took.
    pub(super) fn is_timed_singly(&self) -> bool {
        !self.sequential && self.depth == 1
    }
}

pub(super) const CASES: [Access; 11] = [
    Access {
        operation: "seq-read",
        direct: true,
        sequential: true,
        depth: 1,
        metrics: &[SEQ_READ_DIRECT],
    },
    Access {
        operation: "seq-write",
        direct: true,
        sequential: true,
        depth: 1,
        metrics: &[SEQ_WRITE_DIRECT],
    },
    Access {
        operation: "seq-read",
        direct: false,
        sequential: true,
        depth: 1,
        metrics: &[SEQ_READ_CACHED],
    },
    Access {
        operation: "seq-write",
        direct: false,
        sequential: true,
        depth: 1,
        metrics: &[SEQ_WRITE_BUFFERED],
    },
    Access {
        operation: "rand-read",
        direct: true,
        sequential: false,
        depth: 1,
        metrics: &[RAND_READ_DIRECT],
    },
    Access {
        operation: "rand-write",
        direct: true,
        sequential: false,
        depth: 1,
        metrics: &[RAND_WRITE_DIRECT],
    },
    Access {
        operation: "rand-read",
        direct: true,
        sequential: false,
        depth: 16,
        metrics: &[RAND_READ_DIRECT_16],
    },
    Access {
        operation: "rand-write",
        direct: true,
        sequential: false,
        depth: 16,
        metrics: &[RAND_WRITE_DIRECT_16],
    },
    Access {
        operation: "fsync",
        direct: false,
        sequential: false,
        depth: 1,
        metrics: &[FSYNC_MEDIAN, FSYNC_TAIL],
    },
    Access {
        operation: "create",
        direct: false,
        sequential: false,
        depth: 1,
        metrics: &[FILE_CREATE],
    },
    Access {
        operation: "unlink",
        direct: false,
        sequential: false,
        depth: 1,
        metrics: &[FILE_UNLINK],
    },
];
