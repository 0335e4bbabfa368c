//! How a run was conducted: when it stopped, what its clocks did, what the instrument itself costs, and what was done to
//! the figures on purpose.

use serde::{Deserialize, Serialize};

/// What a reader must know of a run beside its samples.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Conduct {
    /// When the run was to stop, and what stopped it; absent where its profile alone decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// The wall clock against the monotonic one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockOffset>,
    /// What measuring costs, and how noisy the host was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instrument: Option<Instrument>,
    /// Delays that were added to targets on purpose, to see whether they are found again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub injections: Vec<Injection>,
    /// Settings of the host that were changed for the run, and put back after it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tuned: Vec<Setting>,
    /// Processor time that measuring took the harness while samples were taken, in seconds; without that of the instances,
    /// and without the host's part of the work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub harness_cpu_seconds: Option<f64>,
    /// Processor time that the harness spent on the host's part of the work, as the other end of a network's traffic, in
    /// seconds; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_work_cpu_seconds: Option<f64>,
}

/// When a run was to stop.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// Half the width of every leading figure's interval that was asked for, as a part of the median.
    pub precision: Option<f64>,
    /// The time that it might take, in seconds.
    pub max_seconds: Option<f64>,
    /// What stopped it.
    pub reason: StopReason,
}

/// What stopped a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// Every leading figure was as precise as asked.
    Precision,
    /// The time was up.
    Time,
    /// Every round that the profile has was done.
    Rounds,
}

/// The wall clock minus the monotonic clock, which only a step of the wall clock or a suspended host changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockOffset {
    /// At the start, in nanoseconds.
    pub before_ns: i64,
    /// At the end.
    pub after_ns: i64,
}

/// What the instrument measured of itself before the first sample, in nanoseconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instrument {
    /// Starts of the bare process in pairs, as if its two were two targets.
    pub pairs: Vec<[f64; 2]>,
    /// From the writing of a byte to a pipe until the harness, which waits for it, has read its clock.
    pub wake_ups: Vec<f64>,
    /// The writing of one mark, as a launcher does.
    pub marks: Vec<f64>,
}

/// A delay that was added on purpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Injection {
    /// The target.
    pub target: String,
    /// The experiment.
    pub experiment: String,
    /// The delay, in nanoseconds.
    pub delay_ns: u64,
}

/// A setting of the host that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Its file, without the slash in front.
    pub path: String,
    /// What it was.
    pub from: String,
    /// What it was during the run.
    pub to: String,
}

impl Conduct {
    /// Whether every number in it is one.
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
