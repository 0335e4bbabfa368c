//! `isolation`: how much of the host's kernel a program inside can reach.

use super::MetricSchema;
use crate::model::Better::{Higher, Lower};

/// Name of the experiment.
pub const NAME: &str = "isolation";

/// Different system calls of the host's kernel that the target makes while the program tries all.
pub const HOST_CALLS: MetricSchema = MetricSchema::count(
    "host-calls",
    "Host system calls that a program inside causes",
    Lower,
);
/// How many such calls the target makes altogether.
pub const HOST_CALLS_MADE: MetricSchema =
    MetricSchema::count("host-calls-made", "Host system calls made meanwhile", Lower);
/// Different system calls of the host's kernel, those of the start included.
pub const HOST_CALLS_WHOLE: MetricSchema = MetricSchema::count(
    "host-calls-whole",
    "Host system calls, start included",
    Lower,
);
/// System calls that are answered inside.
pub const ANSWERED: MetricSchema =
    MetricSchema::count("answered", "System calls answered inside", Lower);
/// System calls that are refused inside.
pub const REFUSED: MetricSchema =
    MetricSchema::count("refused", "System calls refused inside", Higher);
/// 1 if the program runs on the host's kernel, else 0.
pub const HOST_KERNEL: MetricSchema =
    MetricSchema::count("host-kernel", "Runs on the host's kernel", Lower);
/// Different reasons for which the guest was left.
pub const EXIT_REASONS: MetricSchema =
    MetricSchema::count("exit-reasons", "Reasons for VM exits", Lower);
/// How often the guest was left.
pub const EXITS: MetricSchema = MetricSchema::count("exits", "VM exits handled", Lower);

/// Every metric, in the order of the report.
pub const METRICS: [MetricSchema; 8] = [
    HOST_CALLS,
    HOST_CALLS_MADE,
    HOST_CALLS_WHOLE,
    ANSWERED,
    REFUSED,
    HOST_KERNEL,
    EXIT_REASONS,
    EXITS,
];
