//! The metrics of an experiment: what is counted, in which unit, and which way is better.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One metric of an experiment: a figure that is taken of every target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// The metric's name within its experiment, such as `ready`; it never changes.
    pub name: String,
    /// The metric's name for people.
    pub title: String,
    /// The unit of the metric's samples.
    pub unit: Unit,
    /// Which way the metric is better.
    pub better: Better,
    /// What kind of figure the metric is.
    #[serde(default)]
    pub family: MetricFamily,
    /// Whether the metric's samples may be below zero.
    #[serde(default)]
    pub sign: Sign,
    /// The number of instances that each sample is about: so many start at once, or stay beside
    /// each other. Absent if the metric isn't about a number of instances.
    pub at_once: Option<u32>,
    /// For how many milliseconds the host was left idle before each start; absent if the metric
    /// isn't of starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_gap_ms: Option<u64>,
    /// The period, in the metric's unit, with which the harness asked whether the instance was
    /// ready: a value may be too high by up to that much. Absent if nothing was polled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<f64>,
    /// The parts of the metric in order, each with the sentence that explains it; empty if the
    /// metric has no parts.
    pub parts: Vec<Part>,
}

/// A phase of a start, a component of a sum, or a variant on a price list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The part's name within its metric; it never changes.
    pub name: String,
    /// What happens in the part, or what the part consists of.
    pub explanation: String,
    /// On a price list, the part that lacks what this part is the price of. The samples of the two
    /// parts are of different instances, and the price is the difference of their medians. If the
    /// base is `total`, the whole doesn't contain this part.
    pub base: Option<String>,
}

/// The unit of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// A time, in nanoseconds.
    Nanoseconds,
    /// A size, in bytes.
    Bytes,
    /// A throughput, in bytes a second.
    BytesPerSecond,
    /// A rate, in operations a second.
    OperationsPerSecond,
    /// A number of something; the metric's title says of what.
    Count,
}

impl Unit {
    /// The symbol of the unit in CSV files.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Bytes => "B",
            Self::BytesPerSecond => "B/s",
            Self::OperationsPerSecond => "1/s",
            Self::Count => "1",
        }
    }
}

/// Which way a metric is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// Less is better: times, memory.
    Lower,
    /// More is better: throughput.
    Higher,
}

/// What kind of figure a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MetricFamily {
    /// From the start of an instance until its program is ready.
    StartTime,
    /// From the program's last line until the instance has ended, or until its traces are removed.
    EndTime,
    /// From the start of an instance to its end.
    LifeTime,
    /// Time on a processor.
    ProcessorTime,
    /// Time in which an instance was on no processor.
    WaitingTime,
    /// Time of one operation of a running program.
    OperationTime,
    /// Memory that instances take.
    Memory,
    /// Bytes that are read from files.
    BytesRead,
    /// Bytes on the disk that one instance needs.
    DiskSpace,
    /// Bytes on the disk of several instances with one base for all.
    DiskSpaceShared,
    /// Bytes on the disk of several instances with a copy of the base each.
    DiskSpaceCopied,
    /// Bytes in the page cache of several instances with one base for all.
    PageCacheShared,
    /// Bytes in the page cache of several instances with a copy of the base each.
    PageCacheCopied,
    /// Bytes a second.
    Throughput,
    /// Operations a second.
    Rate,
    /// Bytes a second of a disk, past the page cache.
    DeviceThroughput,
    /// Operations a second of a disk, past the page cache.
    DeviceRate,
    /// How many of something.
    Count,
    /// What the results file doesn't say, or what this isobench doesn't know.
    #[default]
    #[serde(other)]
    Other,
}

/// Whether values may be below zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sign {
    /// A value is zero or above.
    #[default]
    NonNegative,
    /// A value may be below zero, because something is subtracted: memory beyond what a program
    /// touches, or time that was not spent on a processor.
    Any,
}
