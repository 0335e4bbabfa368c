//! `cpu`: what one operation costs a program that runs.

use super::MetricSchema;
use crate::model::MetricFamily::{OperationTime, Throughput};

/// Name of the experiment.
pub const NAME: &str = "cpu";

/// A system call, `getppid`.
pub const SYSTEM_CALL: MetricSchema = operation("system-call", "System call");
/// The first touch of an anonymous page.
pub const PAGE_FAULT: MetricSchema = operation("page-fault", "Page fault, anonymous");
/// The first touch of a page of a file that is in the page cache.
pub const PAGE_FAULT_FILE: MetricSchema = operation("page-fault-file", "Page fault, cached file");
/// A switch from one thread to another, on one processor.
pub const CONTEXT_SWITCH: MetricSchema = operation("context-switch", "Context switch");
/// A reading of the clock.
pub const CLOCK: MetricSchema = operation("clock", "Clock reading");
/// How much too late a sleep of 50 µs ends.
pub const TIMER: MetricSchema = operation("timer", "Lateness of a 50 µs sleep");
/// An exit from a virtual machine and the return into it.
pub const EXIT: MetricSchema = operation("exit", "VM exit and back");
/// A step of integer arithmetic.
pub const INTEGER: MetricSchema = operation("integer", "Integer step");
/// A step of floating-point arithmetic.
pub const FLOAT: MetricSchema = operation("float", "Floating-point step");
/// Bytes a second that are read from memory in order.
pub const MEMORY_READ: MetricSchema =
    MetricSchema::throughput("memory-read", "Memory read in order", Throughput);
/// An access to memory at random.
pub const RANDOM_ACCESS: MetricSchema = operation("random-access", "Memory access at random");

/// Every metric, in the order of the report.
pub const METRICS: [MetricSchema; 11] = [
    SYSTEM_CALL,
    PAGE_FAULT,
    PAGE_FAULT_FILE,
    CONTEXT_SWITCH,
    CLOCK,
    TIMER,
    EXIT,
    INTEGER,
    FLOAT,
    MEMORY_READ,
    RANDOM_ACCESS,
];

const fn operation(name: &'static str, title: &'static str) -> MetricSchema {
    MetricSchema::time(name, title, OperationTime)
}
