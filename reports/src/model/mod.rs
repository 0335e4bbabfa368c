//! The results of one run: what `results.json` holds.
//!
//! Nothing here knows how a number was made. Every sample is kept; statistics are derived from the
//! samples.

mod conduct;
mod json_schema;
mod latencies;
mod metric;
mod target;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use conduct::{ClockOffset, Conduct, Injection, Instrument, Setting, Stop, StopReason};
pub use json_schema::json_schema;
pub use latencies::{Latencies, PERCENTILES};
pub use metric::{Better, Metric, MetricFamily, Part, Sign, Unit};
pub use target::{Target, TargetFamily, TargetKind, Unavailable};

/// The version of the results schema that this isobench writes, and the only version that it reads.
pub const SCHEMA_VERSION: u32 = 2;

/// The program in every results file.
pub const TOOL: &str = "isobench";

/// The name of the part of a sample that stands for the whole.
pub const TOTAL: &str = "total";

/// One execution of the suite on one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The version of the schema: always the version that this isobench writes, in a file that can
    /// be read.
    #[schemars(extend("const" = SCHEMA_VERSION))]
    pub schema: u32,
    /// The program that wrote the file: always `isobench`.
    #[schemars(extend("const" = TOOL))]
    pub tool: String,
    /// The version of isobench.
    pub version: String,
    /// The start of the run in RFC 3339, UTC.
    pub started: String,
    /// The wall time of the run in seconds.
    pub duration_seconds: f64,
    /// Whether the run was interrupted, so that the file has only the samples up to then.
    pub partial: bool,
    /// The name of the profile: `quick`, `standard` or `thorough`.
    pub profile: String,
    /// The seed of the order of targets, which is shuffled in each round.
    pub seed: u64,
    /// The host that was measured.
    pub host: Host,
    /// Every target that was asked for, in the order of the ladder, with those that can't run.
    pub targets: Vec<Target>,
    /// Every experiment that was asked for, in order.
    pub experiments: Vec<Experiment>,
    /// How the run was conducted.
    #[serde(default)]
    pub conduct: Conduct,
    /// Doubts about the samples or the host, in plain words.
    pub warnings: Vec<String>,
    /// Every sample, in the order in which the samples were taken.
    pub samples: Vec<Sample>,
}

impl Run {
    /// Whether another program measured the run, as its exports say.
    pub fn is_measured_elsewhere(&self) -> bool {
        let mut facts = self.host.facts.iter();
        facts.any(|fact| fact.key == MEASURED_ELSEWHERE)
    }

    /// What has to be said above every table and plot: that figures are those of an emulated
    /// processor, or that another program measured them. `None` if neither is so.
    pub fn stamp(&self) -> Option<String> {
        let mut facts = self.host.facts.iter();
        if let Some(fact) = facts.find(|fact| fact.key == MEASURED_ELSEWHERE) {
            return Some(fact.value.clone());
        }
        if self.host.is_emulated() {
            return Some(EMULATED.to_owned());
        }
        let emulated = self.targets.iter().filter(|target| target.emulated);
        let measured = emulated.filter(|target| target.unavailable.is_none());
        let names: Vec<_> = measured.map(|target| target.name.as_str()).collect();
        (!names.is_empty()).then(|| format!("{}: {EMULATED}", names.join(", ")))
    }
}

/// The key of the fact that a run has which another program measured.
pub const MEASURED_ELSEWHERE: &str = "measured-elsewhere";
/// The key of the fact that a host with an emulated processor has.
pub const EMULATION: &str = "emulation";
/// What is said of the figures of a host with an emulated processor.
pub const EMULATED: &str = "emulated CPU: shapes, not absolute times";

/// The host of a run: facts in a fixed order, for reading and for comparing hosts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// The host in one line: CPU, cores, memory, kernel, kind of KVM.
    pub summary: String,
    /// Each fact that was found out about the host.
    pub facts: Vec<Fact>,
}

impl Host {
    /// Whether the processor is a program. The figures of such a run are shown with the words
    /// [`EMULATED`].
    pub fn is_emulated(&self) -> bool {
        self.facts.iter().any(|fact| fact.key == EMULATION)
    }
}

/// One fact about the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// The fact's key, such as `cpu-model` or `kvm-kind`; it never changes.
    pub key: String,
    /// The fact's name for people.
    pub label: String,
    /// The value that was found.
    pub value: String,
    /// Why the value harms measurements, if so.
    pub concern: Option<String>,
}

impl Fact {
    /// A sentence of warning, if the value harms measurements.
    pub fn warning(&self) -> Option<String> {
        let concern = self.concern.as_ref()?;
        Some(format!("{}: {}: {concern}", self.label, self.value))
    }
}

/// Something that is measured on every target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// The experiment's name, such as `startup`; it never changes.
    pub name: String,
    /// How the experiment measures, in plain words: from where to where, and what is left out.
    pub method: String,
    /// The command line that was timed; absent if the experiment times no command of the user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The experiment's metrics, in order.
    pub metrics: Vec<Metric>,
}

/// One measured value, or the reason for which there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Name of the target.
    pub target: String,
    /// Name of the experiment.
    pub experiment: String,
    /// Name of the metric.
    pub metric: String,
    /// `total` for a whole, else the name of a part.
    pub part: String,
    /// The unit of `value`.
    pub unit: Unit,
    /// The round in which the sample was taken, from 0.
    pub round: u32,
    /// The sample's place in the run's order, from 0; all parts of one start share a place.
    pub sequence: u64,
    /// The measured value, if there is one.
    pub value: Option<f64>,
    /// Whether the value counts.
    pub status: Status,
    /// Why there is no value, or why the value doesn't count.
    pub reason: Option<String>,
    /// How long each operation took, if the workload told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latencies: Option<Latencies>,
}

/// Whether a sample counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The sample counts.
    Ok,
    /// The sample was taken to warm up: it is kept, and left out of every figure.
    Warmup,
    /// The instance failed; the sample's `reason` says how.
    Failed,
    /// The target can't run on this host; the sample's `reason` says why.
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
