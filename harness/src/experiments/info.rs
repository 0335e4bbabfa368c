//! The description of an experiment as plain data: its name, method, metrics, cases and rounds.

use std::borrow::Cow;
use std::time::Duration;

use isobench_reports::model::{Experiment, Metric, Part, TOTAL};
use isobench_reports::schema::MetricSchema;

use super::profile::{ByProfile, Profile};
use crate::host::session::Medium;
use crate::targets::TargetInfo;

/// The phase after a launcher's last mark. For a target that marks no phases, it is the whole
/// start.
pub(super) const WORKLOAD: &str = "workload";

/// The phase after a launcher's last mark, for a program of the user.
pub(super) const PROGRAM: &str = "program";

/// The description of an experiment. No part of the description depends on the host.
#[derive(Debug, Clone)]
pub struct ExperimentInfo {
    /// The experiment's name, as in results files. The name doesn't change between versions.
    pub name: Cow<'static, str>,
    /// The command line that is timed, if the experiment times one of the user's.
    pub command: Option<String>,
    /// How the metrics are measured, for a report's reader.
    pub method: Cow<'static, str>,
    /// The content of the instances' root.
    pub contents: ContentsId,
    /// The metrics, in the order of the report. The first is the most important.
    pub metrics: Vec<MetricInfo>,
    /// The cases. Each sample measures one case in one fresh instance.
    pub cases: Vec<Case>,
    /// How often each case is measured on each target.
    pub rounds: ByProfile<Rounds>,
    /// The time after which no further round of a target is begun; `None` if a target may take all
    /// the time that it needs.
    pub time_per_target: Option<ByProfile<Duration>>,
    /// Whether a run that names no experiments includes this one.
    pub inclusion: Inclusion,
    /// Whether the experiment works on the run's disk file.
    pub disk_file: DiskFile,
    /// What the run's files have to be on.
    pub medium: Medium,
    /// When no more samples of a target are taken.
    pub give_up: GiveUp,
}

impl ExperimentInfo {
    /// An experiment that every run includes, without a limit on the time of a target.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        method: impl Into<Cow<'static, str>>,
        metrics: impl IntoIterator<Item = MetricInfo>,
        cases: impl IntoIterator<Item = Case>,
        rounds: ByProfile<Rounds>,
    ) -> Self {
        Self {
            name: name.into(),
            method: method.into(),
            command: None,
            contents: ContentsId::WORKLOAD,
            metrics: metrics.into_iter().collect(),
            cases: cases.into_iter().collect(),
            rounds,
            time_per_target: None,
            inclusion: Inclusion::InEveryRun,
            disk_file: DiskFile::Unused,
            medium: Medium::Any,
            give_up: GiveUp::AfterTimeouts,
        }
    }

    /// The metric with this name, if the experiment has one.
    pub fn metric(&self, name: &str) -> Option<&MetricInfo> {
        self.metrics
            .iter()
            .find(|metric| metric.schema.name == name)
    }

    /// The time after which no further round of a target is begun, in a run of `profile`.
    pub fn time_per_target(&self, profile: Profile) -> Option<Duration> {
        self.time_per_target.map(|time| time.of(profile))
    }

    /// The experiment as results files hold it, measured on `targets`.
    pub fn describe(&self, targets: &[&TargetInfo]) -> Experiment {
        Experiment {
            name: self.name.clone().into_owned(),
            method: self.method.clone().into_owned(),
            command: self.command.clone(),
            metrics: self
                .metrics
                .iter()
                .map(|metric| metric.describe(targets))
                .collect(),
        }
    }
}

/// Which of the contents of a run's roots an experiment uses. A run prepares each target once for
/// each of its contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentsId(pub usize);

impl ContentsId {
    /// The workload program alone.
    pub const WORKLOAD: Self = Self(0);
}

/// A metric of an experiment.
#[derive(Debug, Clone)]
pub struct MetricInfo {
    /// The metric's name, title and unit.
    pub schema: MetricSchema,
    /// The number of instances that are started at once, or that run at the same time, for one
    /// value. `None` if the metric isn't about several instances.
    pub at_once: Option<u32>,
    /// How long the host is idle before each measured start. `None` if the metric isn't about
    /// starts.
    pub idle_gap: Option<Duration>,
    /// The time between two looks, if the metric's end is looked for again and again. A value may
    /// be too large by so much.
    pub resolution: Option<Duration>,
    /// The parts of the metric.
    pub parts: Parts,
}

impl From<MetricSchema> for MetricInfo {
    fn from(schema: MetricSchema) -> Self {
        Self {
            schema,
            at_once: None,
            idle_gap: None,
            resolution: None,
            parts: Parts::None,
        }
    }
}

impl MetricInfo {
    /// The same metric for starts after an idle gap.
    #[must_use]
    pub fn after_gap(self, gap: Duration) -> Self {
        Self {
            idle_gap: Some(gap),
            ..self
        }
    }

    /// The same metric for starts without a gap. Between two starts, the host only waits for the
    /// harness's own work.
    #[must_use]
    pub fn back_to_back(self) -> Self {
        self.after_gap(Duration::ZERO)
    }

    /// The same metric for `count` instances at once.
    #[must_use]
    pub fn at_once(self, count: u32) -> Self {
        Self {
            at_once: Some(count),
            ..self
        }
    }

    /// The same metric, whose end is looked for at intervals of `period`.
    #[must_use]
    pub fn polled_each(self, period: Duration) -> Self {
        Self {
            resolution: Some(period),
            ..self
        }
    }

    /// The same metric, divided into `parts`.
    #[must_use]
    pub fn in_parts(self, parts: Parts) -> Self {
        Self { parts, ..self }
    }

    fn describe(&self, targets: &[&TargetInfo]) -> Metric {
        let milliseconds = |gap: Duration| u64::try_from(gap.as_millis()).unwrap_or(u64::MAX);
        Metric {
            at_once: self.at_once,
            idle_gap_ms: self.idle_gap.map(milliseconds),
            // A metric that is polled for is a time, in nanoseconds.
            resolution: self.resolution.map(|period| period.as_nanos() as f64),
            parts: match &self.parts {
                Parts::None => Vec::new(),
                Parts::Named(parts) => parts.clone(),
                Parts::Phases => phases_of(targets, workload()),
                Parts::PhasesOfProgram => phases_of(targets, program()),
            },
            ..self.schema.to_metric()
        }
    }
}

/// The parts of a metric.
#[derive(Debug, Clone, PartialEq)]
pub enum Parts {
    /// The metric has no parts.
    None,
    /// The metric has these parts, in this order.
    Named(Vec<Part>),
    /// The parts are the phases that the targets' launchers mark, and the rest, which is the
    /// workload's.
    Phases,
    /// As [`Parts::Phases`], for a program of the user.
    PhasesOfProgram,
}

impl Parts {
    /// Parts from pairs of a name and an explanation.
    pub fn named<'p>(parts: impl IntoIterator<Item = (&'p str, &'p str)>) -> Self {
        let parts = parts.into_iter();
        Self::Named(
            parts
                .map(|(name, explanation)| part(name, explanation))
                .collect(),
        )
    }
}

/// A part with this name and explanation.
pub(super) fn part(name: &str, explanation: &str) -> Part {
    Part {
        name: name.to_owned(),
        explanation: explanation.to_owned(),
        base: None,
    }
}

/// The phases that the launchers of `targets` mark, and the `rest`.
fn phases_of(targets: &[&TargetInfo], rest: Part) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for phase in targets.iter().flat_map(|target| &target.phases) {
        if parts.iter().all(|known| known.name != phase.name) {
            parts.push(phase.clone());
        }
    }
    parts.push(rest);
    parts
}

fn workload() -> Part {
    part(
        WORKLOAD,
        "from the launcher's last mark until the program's line has been read; for a target that \
         marks no phases, the whole start",
    )
}

fn program() -> Part {
    part(
        PROGRAM,
        "from the launcher's last mark until the program is ready or has ended; for a target that \
         marks no phases, all of the time",
    )
}

/// What is measured in one fresh instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The names of the metrics of which the case gives values.
    pub metrics: Vec<&'static str>,
    /// The part of these metrics that the values belong to; [`TOTAL`] for the whole.
    pub part: String,
}

impl Case {
    /// A case that gives values of `metrics` as a whole.
    pub fn of(metrics: impl IntoIterator<Item = MetricSchema>) -> Self {
        Self {
            metrics: metrics.into_iter().map(|metric| metric.name).collect(),
            part: TOTAL.to_owned(),
        }
    }
}

/// How often each case is measured on each target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounds {
    /// The number of rounds whose samples are kept but don't count.
    pub warmup: u32,
    /// The number of rounds whose samples count.
    pub measured: u32,
}

impl Rounds {
    /// `warmup` rounds that don't count, then `measured` rounds that count.
    pub const fn new(warmup: u32, measured: u32) -> Self {
        Self { warmup, measured }
    }
}

/// Whether a run that names no experiments includes an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inclusion {
    /// Every run that names no experiments includes the experiment.
    InEveryRun,
    /// A run includes the experiment only if the user names the experiment.
    OnlyIfNamed,
}

/// Whether an experiment works on the run's disk file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFile {
    /// The experiment doesn't need the file.
    Unused,
    /// The run makes the file before the first sample.
    Used,
}

/// When no more samples of a target are taken, because they would probably fail as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiveUp {
    /// Two samples of the target in a row have timed out, whatever experiments they belong to. Each
    /// sample that isn't taken counts as failed.
    AfterTimeouts,
    /// So many samples of the target and the experiment in a row have failed. A sample that isn't
    /// taken has no row.
    AfterFailures(u32),
}

/// Whether a case can be measured on a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applicability {
    /// The case is measured.
    Measured,
    /// The case makes no sense for the target. The results have no row for it.
    NotApplicable,
    /// The target can't do what the case needs, although a reader would expect a figure. The
    /// results have a row with this reason.
    Impossible(Cow<'static, str>),
}

impl Applicability {
    /// [`Applicability::Measured`] if `makes_sense`, otherwise [`Applicability::NotApplicable`].
    pub fn measured_if(makes_sense: bool) -> Self {
        if makes_sense {
            Self::Measured
        } else {
            Self::NotApplicable
        }
    }
}
