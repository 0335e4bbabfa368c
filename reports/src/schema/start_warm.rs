//! `start-warm`: ways to start a program that initialises, up to its answers.

use super::MetricSchema;
use crate::model::MetricFamily::{DiskSpace, Memory, OperationTime, StartTime};
use crate::model::Sign;

/// Name of the experiment.
pub const NAME: &str = "start-warm";

/// The answers after which a program has used all its memory once.
pub const ROUND: u64 = 100;

/// The metrics of one way to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// From the start until the first answer.
    pub first: MetricSchema,
    /// From the start until the hundredth answer.
    pub hundredth: MetricSchema,
    /// What the answers after the first, up to the hundredth, take longer than as many later ones.
    pub tail: MetricSchema,
}

/// The start of everything.
pub const COLD: Way = Way {
    first: start("cold", "Cold start until the first answer"),
    hundredth: start("cold-100", "Cold start until the hundredth answer"),
    tail: tail("cold-tail", "Put off by a cold start"),
};

/// The start of the program in what waits for it.
pub const POOL: Way = Way {
    first: start("pool", "Start from a pool until the first answer"),
    hundredth: start("pool-100", "Start from a pool until the hundredth answer"),
    tail: tail("pool-tail", "Put off by a start from a pool"),
};

/// A program that has initialised goes on from a file.
pub const RESTORE: Way = Way {
    first: start("restore", "Start from a snapshot until the first answer"),
    hundredth: start(
        "restore-100",
        "Start from a snapshot until the hundredth answer",
    ),
    tail: tail("restore-tail", "Put off by a start from a snapshot"),
};

/// The first answer of a program that goes on from a file which the host has to read from its disk.
pub const RESTORE_FROM_DISK: MetricSchema = start(
    "restore-disk",
    "Start from a snapshot on disk until the first answer",
);

/// The length of the file.
pub const SNAPSHOT_SIZE: MetricSchema =
    MetricSchema::bytes("snapshot-size", "Size of a snapshot", DiskSpace);

/// From the stop of the program until its file is whole.
pub const SNAPSHOT_TIME: MetricSchema =
    MetricSchema::time("snapshot-time", "Taking a snapshot", OperationTime);

/// A clone of a program that has initialised.
pub const FORK: Way = Way {
    first: start("fork", "Clone of a template until the first answer"),
    hundredth: start("fork-100", "Clone of a template until the hundredth answer"),
    tail: tail("fork-tail", "Put off by a clone of a template"),
};

/// Memory that one more clone takes, right after its first answer.
pub const FORK_MEMORY: MetricSchema =
    MetricSchema::bytes("fork-memory", "Memory of one more clone", Memory);

/// A cold start of a program that does not initialise, until its line.
pub const LEAST_COLD: MetricSchema =
    start("cold-least", "Cold start of the least program until ready");

/// The start of such a program in what waits for it.
pub const LEAST_POOL: MetricSchema = start(
    "pool-least",
    "Start of the least program from a pool until ready",
);

/// Every metric, in the order of the report.
pub const METRICS: [MetricSchema; 18] = [
    COLD.first,
    POOL.first,
    RESTORE.first,
    RESTORE_FROM_DISK,
    FORK.first,
    COLD.hundredth,
    POOL.hundredth,
    RESTORE.hundredth,
    FORK.hundredth,
    COLD.tail,
    POOL.tail,
    RESTORE.tail,
    FORK.tail,
    LEAST_COLD,
    LEAST_POOL,
    FORK_MEMORY,
    SNAPSHOT_SIZE,
    SNAPSHOT_TIME,
];

const fn start(name: &'static str, title: &'static str) -> MetricSchema {
    MetricSchema::time(name, title, StartTime)
}

const fn tail(name: &'static str, title: &'static str) -> MetricSchema {
    MetricSchema {
        sign: Sign::Any,
        ..MetricSchema::time(name, title, OperationTime)
    }
}
