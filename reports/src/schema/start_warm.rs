//! `start-warm`: ways to start a program that initialises, up to its answers.

use super::MetricSchema;
use crate::model::MetricFamily::{Memory, OperationTime, StartTime};
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

/// A clone of a program that has initialised.
pub const FORK: Way = Way {
    first: start("fork", "Clone of a template until the first answer"),
    hundredth: start("fork-100", "Clone of a template until the hundredth answer"),
    tail: tail("fork-tail", "Put off by a clone of a template"),
};

/// Memory that one more clone takes, right after its first answer.
pub const FORK_MEMORY: MetricSchema =
    MetricSchema::bytes("fork-memory", "Memory of one more clone", Memory);

/// Every way, in the order of the report.
pub const WAYS: [Way; 3] = [COLD, POOL, FORK];

/// Every metric, in the order of the report.
pub const METRICS: [MetricSchema; 10] = [
    COLD.first,
    POOL.first,
    FORK.first,
    COLD.hundredth,
    POOL.hundredth,
    FORK.hundredth,
    COLD.tail,
    POOL.tail,
    FORK.tail,
    FORK_MEMORY,
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
