//! The metrics of an experiment: what is counted, in which unit, and which way is better.

use serde::{Deserialize, Serialize};

/// One figure of an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Stable name within its experiment, such as `ready`.
    pub name: String,
    /// What it is, for people.
    pub title: String,
    /// Unit of its samples.
    pub unit: Unit,
    /// Which way is better.
    pub better: Better,
    /// What kind of figure the metric is.
    #[serde(default)]
    pub family: MetricFamily,
    /// Whether the metric's samples may be below zero.
    #[serde(default)]
    pub sign: Sign,
    /// Instances that are started at once for each of its samples, or that stay beside each other, where that is what it is
    /// about.
    pub at_once: Option<u32>,
    /// Milliseconds for which the host was left idle before each start, where it is of starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_gap_ms: Option<u64>,
    /// Its parts in order, each with the sentence that explains it; empty if it isn't cut into parts.
    pub parts: Vec<Part>,
}

/// A phase of a start, a component of a sum, or a variant on a price list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Stable name.
    pub name: String,
    /// What happens in it.
    pub explanation: String,
    /// On a price list: the part without what is priced. Its samples are of other instances than this part's, and the price
    /// is the difference.
    pub base: Option<String>,
}

/// The unit of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Time in nanoseconds.
    Nanoseconds,
    /// Memory in bytes.
    Bytes,
    /// Throughput in bytes a second.
    BytesPerSecond,
    /// Rate in operations a second.
    OperationsPerSecond,
    /// How many of something; the metric says of what.
    Count,
}

impl Unit {
    /// The symbol used in CSV files.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// Less is better: times, memory.
    Lower,
    /// More is better: throughput.
    Higher,
}

/// What kind of figure a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sign {
    /// A value is zero or above.
    #[default]
    NonNegative,
    /// A value may be below zero, because something is subtracted: memory beyond what a program
    /// touches, or time that was not spent on a processor.
    Any,
}
