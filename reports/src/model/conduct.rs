//! How a run was conducted: what stopped the run, what its clocks did, what measuring costs, and
//! what was changed on purpose.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a reader must know of a run beside its samples.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Conduct {
    /// When the run was to stop, and what stopped it; absent if the profile alone decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// The wall clock against the monotonic clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockOffset>,
    /// What measuring costs, and how noisy the host was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instrument: Option<Instrument>,
    /// Delays that were added to targets on purpose, to see whether the figures show them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub injections: Vec<Injection>,
    /// Settings of the host that were changed for the run and put back after it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tuned: Vec<Setting>,
    /// Processor time that the harness spent on measuring while samples were taken, in seconds. The
    /// processor time of the instances and the host's part of the work are not in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub harness_cpu_seconds: Option<f64>,
    /// Processor time that the harness spent on the host's part of the work, in seconds: the other
    /// end of a network connection. Absent if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_work_cpu_seconds: Option<f64>,
}

/// When a run was to stop, and what stopped it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// The precision that was asked for: half the width of the interval of every leading figure, as
    /// a part of the median.
    pub precision: Option<f64>,
    /// The longest time that the run was allowed, in seconds.
    pub max_seconds: Option<f64>,
    /// What stopped the run.
    pub reason: StopReason,
}

/// What stopped a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// Every leading figure was as precise as asked.
    Precision,
    /// The allowed time was over.
    Time,
    /// Every round of the profile was done.
    Rounds,
}

/// The wall clock minus the monotonic clock. Only a step of the wall clock or a suspended host
/// changes this difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClockOffset {
    /// The difference at the start of the run, in nanoseconds.
    pub before_ns: i64,
    /// The difference at the end of the run, in nanoseconds.
    pub after_ns: i64,
}

/// What the harness measured of itself before the first sample, in nanoseconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Instrument {
    /// Start-up times of the bare process in pairs, as if its two starts were of two targets.
    pub pairs: Vec<[f64; 2]>,
    /// From the writing of a byte to a pipe until the harness, which waits for the byte, has read
    /// its clock.
    pub wake_ups: Vec<f64>,
    /// The time that a launcher takes to write one mark.
    pub marks: Vec<f64>,
}

/// A delay that was added on purpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Injection {
    /// Name of the target.
    pub target: String,
    /// Name of the experiment.
    pub experiment: String,
    /// The delay of each start, in nanoseconds.
    pub delay_ns: u64,
}

/// A setting of the host that was changed for a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// The setting's file, without the slash in front.
    pub path: String,
    /// The setting's value before the run.
    pub from: String,
    /// The setting's value during the run.
    pub to: String,
}

impl Conduct {
    /// Whether every number is finite and not below zero.
    pub fn is_finite(&self) -> bool {
        let stop = self.stop.into_iter();
        let limits = stop.flat_map(|stop| stop.precision.into_iter().chain(stop.max_seconds));
        let instrument = self.instrument.iter().flat_map(|instrument| {
            let single = instrument.wake_ups.iter().chain(&instrument.marks);
            instrument.pairs.iter().flatten().chain(single).copied()
        });
        limits
            .chain(instrument)
            .chain(self.harness_cpu_seconds)
            .chain(self.host_work_cpu_seconds)
            .all(|value| value.is_finite() && value >= 0.0)
    }
}
