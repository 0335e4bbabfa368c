//! The results of one run: what `results.json` holds.
//!
//! Nothing in here knows how a number was made. Every sample is kept; statistics are derived from them.

mod conduct;
mod latencies;
mod metric;
mod target;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use conduct::{ClockOffset, Conduct, Injection, Instrument, Setting, Stop, StopReason};
pub use latencies::{Latencies, PERCENTILES};
pub use metric::{Better, Metric, MetricFamily, Part, Sign, Unit};
pub use target::{Target, TargetFamily, TargetKind, Unavailable};

/// The version of the results schema that this build writes, and the only one that it reads.
pub const SCHEMA_VERSION: u32 = 2;

/// The name of the part that stands for a whole.
pub const TOTAL: &str = "total";

/// One execution of the suite on one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Always [`SCHEMA_VERSION`] in a file that this build can read.
    pub schema: u32,
    /// What made the file: always `isobench`.
    pub tool: String,
    /// Version of isobench.
    pub version: String,
    /// Start of the run, RFC 3339, UTC.
    pub started: String,
    /// Wall time of the run in seconds.
    pub duration_seconds: f64,
    /// True when the run was interrupted and holds only the samples up to then.
    pub partial: bool,
    /// Name of the profile: `quick`, `standard` or `thorough`.
    pub profile: String,
    /// Seed of the shuffled order of targets in each round.
    pub seed: u64,
    /// The host that the numbers belong to.
    pub host: Host,
    /// Every target that was asked for, in ladder order, those that can't run included.
    pub targets: Vec<Target>,
    /// Every experiment that was asked for, in order.
    pub experiments: Vec<Experiment>,
    /// How it was conducted.
    #[serde(default)]
    pub conduct: Conduct,
    /// Doubts about the data or the host, in plain words.
    pub warnings: Vec<String>,
    /// Every raw sample, in the order taken.
    pub samples: Vec<Sample>,
}

/// Key of the fact that a host has if its processor is emulated.
pub const EMULATION: &str = "emulation";
/// What is said of the figures of such a host.
pub const EMULATED: &str = "emulated CPU: shapes, not absolute times";

/// The host of a run: facts in a fixed order, made for reading and for comparing hosts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// One line: CPU, cores, memory, kernel, KVM kind.
    pub summary: String,
    /// Each fact found on the host.
    pub facts: Vec<Fact>,
}

impl Host {
    /// Whether its processor is a program: such a run is stamped with [`EMULATED`] wherever its figures are shown.
    pub fn is_emulated(&self) -> bool {
        self.facts.iter().any(|fact| fact.key == EMULATION)
    }
}

/// One fact about the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// Stable key, such as `cpu-model` or `kvm-kind`.
    pub key: String,
    /// What it's called, for people.
    pub label: String,
    /// What was found.
    pub value: String,
    /// Set where the value harms the measurement: why.
    pub concern: Option<String>,
}

impl Fact {
    /// What to know before the figures are believed, if there is something.
    pub fn warning(&self) -> Option<String> {
        let concern = self.concern.as_ref()?;
        Some(format!("{}: {}: {concern}", self.label, self.value))
    }
}

/// One thing that was measured on every target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Stable name, such as `startup`; [`crate::schema`] has those of isobench.
    pub name: String,
    /// How it is measured, in plain words: from where to where, what's in and what's out.
    pub method: String,
    /// Its metrics, in order.
    pub metrics: Vec<Metric>,
}

/// One measured value, or the reason for which there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Name of the target.
    pub target: String,
    /// Name of the experiment.
    pub experiment: String,
    /// Name of the metric.
    pub metric: String,
    /// [`TOTAL`] for a whole; else the name of the phase or component.
    pub part: String,
    /// Unit of `value`.
    pub unit: Unit,
    /// Round in which it was taken, from 0.
    pub round: u32,
    /// Place in the run's order, from 0; all parts of one start share it.
    pub sequence: u64,
    /// The value; absent if there is none.
    pub value: Option<f64>,
    /// What the value is worth.
    pub status: Status,
    /// Why there is no value, or why it doesn't count.
    pub reason: Option<String>,
    /// How long each of its operations took, where the workload has told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latencies: Option<Latencies>,
}

/// What a sample is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// A good sample.
    Ok,
    /// Taken to warm up; kept, and left out of every figure.
    Warmup,
    /// The instance failed; `reason` says how.
    Failed,
    /// The target can't run on this host; `reason` says why.
    Unavailable,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Warmup => "warmup",
            Self::Failed => "failed",
            Self::Unavailable => "unavailable",
        })
    }
}
