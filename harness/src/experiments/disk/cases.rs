//! The cases of the disk experiment: each title says what is in the page cache and what is durable.

use isobench_reports::model::{Better, Unit};

use super::MetricInfo;

/// One kind of access.
#[derive(Debug)]
pub(super) struct Case {
    /// As the workload calls it.
    pub operation: &'static str,
    /// Past the page cache.
    pub direct: bool,
    /// In order, or at random.
    pub sequential: bool,
    /// Operations under way at once.
    pub depth: u32,
    /// What is measured.
    pub metrics: &'static [MetricInfo],
}

impl Case {
    /// Whether it is about files in a directory, rather than about what is in the one file.
    pub(super) fn is_of_files(&self) -> bool {
        matches!(self.operation, "create" | "unlink")
    }

    /// Whether the workload tells how long each operation took.
    pub(super) fn is_timed_singly(&self) -> bool {
        !self.sequential && self.depth == 1
    }
}

const fn throughput(name: &'static str, title: &'static str) -> [MetricInfo; 1] {
    [MetricInfo {
        name,
        title,
        unit: Unit::BytesPerSecond,
        better: Better::Higher,
    }]
}

const fn rate(name: &'static str, title: &'static str) -> [MetricInfo; 1] {
    [MetricInfo {
        name,
        title,
        unit: Unit::OperationsPerSecond,
        better: Better::Higher,
    }]
}

const fn latency(name: &'static str, title: &'static str) -> MetricInfo {
    MetricInfo {
        name,
        title,
        unit: Unit::Nanoseconds,
        better: Better::Lower,
    }
}

pub(super) const FSYNC_MEDIAN: &str = "fsync-p50";
const FSYNC_TAIL: &str = "fsync-p99";

pub(super) const CASES: [Case; 11] = [
    Case {
        operation: "seq-read",
        direct: true,
        sequential: true,
        depth: 1,
        metrics: &throughput("seq-read-direct", "Sequential read, 1 MiB, O_DIRECT"),
    },
    Case {
        operation: "seq-write",
        direct: true,
        sequential: true,
        depth: 1,
        metrics: &throughput(
            "seq-write-direct",
            "Sequential write, 1 MiB, O_DIRECT, not flushed",
        ),
    },
    Case {
        operation: "seq-read",
        direct: false,
        sequential: true,
        depth: 1,
        metrics: &throughput(
            "seq-read-cached",
            "Sequential read, 1 MiB, buffered, from the page cache",
        ),
    },
    Case {
        operation: "seq-write",
        direct: false,
        sequential: true,
        depth: 1,
        metrics: &throughput(
            "seq-write-buffered",
            "Sequential write, 1 MiB, buffered, with one flush at the end",
        ),
    },
    Case {
        operation: "rand-read",
        direct: true,
        sequential: false,
        depth: 1,
        metrics: &rate(
            "rand-read-direct",
            "Random read, 4 KiB, O_DIRECT, one at a time",
        ),
    },
    Case {
        operation: "rand-write",
        direct: true,
        sequential: false,
        depth: 1,
        metrics: &rate(
            "rand-write-direct",
            "Random write, 4 KiB, O_DIRECT, one at a time, not flushed",
        ),
    },
    Case {
        operation: "rand-read",
        direct: true,
        sequential: false,
        depth: 16,
        metrics: &rate(
            "rand-read-direct-16",
            "Random read, 4 KiB, O_DIRECT, 16 at a time",
        ),
    },
    Case {
        operation: "rand-write",
        direct: true,
        sequential: false,
        depth: 16,
        metrics: &rate(
            "rand-write-direct-16",
            "Random write, 4 KiB, O_DIRECT, 16 at a time, not flushed",
        ),
    },
    Case {
        operation: "fsync",
        direct: false,
        sequential: false,
        depth: 1,
        metrics: &[
            latency(
                FSYNC_MEDIAN,
                "Flush (fdatasync) of a buffered 4 KiB write, median",
            ),
            latency(
                FSYNC_TAIL,
                "Flush (fdatasync) of a buffered 4 KiB write, 99th percentile",
            ),
        ],
    },
    Case {
        operation: "create",
        direct: false,
        sequential: false,
        depth: 1,
        metrics: &rate(
            "file-create",
            "Making of a 4 KiB file, buffered, not flushed",
        ),
    },
    Case {
        operation: "unlink",
        direct: false,
        sequential: false,
        depth: 1,
        metrics: &rate(
            "file-unlink",
            "Removal of a 4 KiB file just made, cached, not flushed",
        ),
    },
];
