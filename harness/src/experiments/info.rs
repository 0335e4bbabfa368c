//! An experiment described as plain data: its name, its method, its figures, its cases, its rounds.

use std::time::Duration;

use isobench_reports::model::{Experiment, Metric, Part, TOTAL};
use isobench_reports::schema::MetricSchema;

use super::profile::{ByProfile, Profile};
use crate::targets::TargetInfo;

/// The phase after a launcher's last mark, or the whole start of a target that marks none.
pub(super) const WORKLOAD: &str = "workload";

/// An experiment, described. Nothing in here depends on the host.
#[derive(Debug, Clone)]
pub struct ExperimentInfo {
    /// Stable name, as in results files.
    pub name: &'static str,
    /// How the figures are measured, in plain words.
    pub method: &'static str,
    /// The figures, in the order of the report; the first leads.
    pub metrics: Vec<MetricInfo>,
    /// What is measured by one fresh instance each.
    pub cases: Vec<Case>,
    /// How often each case is measured on each target.
    pub rounds: ByProfile<Rounds>,
    /// The time that one target may take: no further round of the target is begun after that.
    pub patience: Option<ByProfile<Duration>>,
    /// Whether a run that names no experiments has this one.
    pub inclusion: Inclusion,
    /// Whether the experiment works on the run's disk file.
    pub disk_file: DiskFile,
}

impl ExperimentInfo {
    /// An experiment that every run has, whose targets may take all the time that they need.
    pub fn new(
        name: &'static str,
        method: &'static str,
        metrics: impl IntoIterator<Item = MetricInfo>,
        cases: impl IntoIterator<Item = Case>,
        rounds: ByProfile<Rounds>,
    ) -> Self {
        Self {
            name,
            method,
            metrics: metrics.into_iter().collect(),
            cases: cases.into_iter().collect(),
            rounds,
            patience: None,
            inclusion: Inclusion::InEveryRun,
            disk_file: DiskFile::Unused,
        }
    }

    /// The figure with this name, if the experiment has such a figure.
    pub fn metric(&self, name: &str) -> Option<&MetricInfo> {
        self.metrics
            .iter()
            .find(|metric| metric.schema.name == name)
    }

    /// The time that one target may take in a run of `profile`.
    pub fn patience(&self, profile: Profile) -> Option<Duration> {
        self.patience.map(|patience| patience.of(profile))
    }

    /// The experiment as results files have it, whose targets are `targets`.
    pub fn describe(&self, targets: &[&TargetInfo]) -> Experiment {
        Experiment {
            name: self.name.to_owned(),
            method: self.method.to_owned(),
            metrics: self
                .metrics
                .iter()
                .map(|metric| metric.describe(targets))
                .collect(),
        }
    }
}

/// A figure of an experiment.
#[derive(Debug, Clone)]
pub struct MetricInfo {
    /// The figure's name, title and unit.
    pub schema: MetricSchema,
    /// How many instances are started at once for one value, or stay beside each other; none where
    /// the figure isn't about that.
    pub at_once: Option<u32>,
    /// How long the host is left idle before each start that the figure is of; none for what isn't of
    /// starts.
    pub idle_gap: Option<Duration>,
    /// What the figure is cut into.
    pub parts: Parts,
}

impl From<MetricSchema> for MetricInfo {
    fn from(schema: MetricSchema) -> Self {
        Self {
            schema,
            at_once: None,
            idle_gap: None,
            parts: Parts::None,
        }
    }
}

impl MetricInfo {
    /// The same figure of starts after an idle gap.
    #[must_use]
    pub fn after_gap(self, gap: Duration) -> Self {
        Self {
            idle_gap: Some(gap),
            ..self
        }
    }

    /// The same figure of starts that follow each other: the host is idle for what the harness does
    /// between two of them, and the harness waits for nothing.
    #[must_use]
    pub fn back_to_back(self) -> Self {
        self.after_gap(Duration::ZERO)
    }

    /// The same figure of `count` instances.
    #[must_use]
    pub fn at_once(self, count: u32) -> Self {
        Self {
            at_once: Some(count),
            ..self
        }
    }

    /// The same figure, cut into `parts`.
    #[must_use]
    pub fn in_parts(self, parts: Parts) -> Self {
        Self { parts, ..self }
    }

    fn describe(&self, targets: &[&TargetInfo]) -> Metric {
        let milliseconds = |gap: Duration| u64::try_from(gap.as_millis()).unwrap_or(u64::MAX);
        Metric {
            at_once: self.at_once,
            idle_gap_ms: self.idle_gap.map(milliseconds),
            parts: match &self.parts {
                Parts::None => Vec::new(),
                Parts::Named(parts) => parts.clone(),
                Parts::Phases => phases_of(targets),
            },
            ..self.schema.to_metric()
        }
    }
}

/// What a figure is cut into.
#[derive(Debug, Clone, PartialEq)]
pub enum Parts {
    /// Nothing.
    None,
    /// These parts, in order.
    Named(Vec<Part>),
    /// The phases that the targets' launchers mark, and the rest.
    Phases,
}

impl Parts {
    /// Parts with the explanation of each.
    pub fn named<'p>(parts: impl IntoIterator<Item = (&'p str, &'p str)>) -> Self {
        let parts = parts.into_iter();
        Self::Named(
            parts
                .map(|(name, explanation)| part(name, explanation))
                .collect(),
        )
    }
}

/// A part with its explanation.
pub(super) fn part(name: &str, explanation: &str) -> Part {
    Part {
        name: name.to_owned(),
        explanation: explanation.to_owned(),
        base: None,
    }
}

/// The phases that the launchers of `targets` mark, and the rest.
fn phases_of(targets: &[&TargetInfo]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for phase in targets.iter().flat_map(|target| &target.phases) {
        if parts.iter().all(|known| known.name != phase.name) {
            parts.push(phase.clone());
        }
    }
    parts.push(part(
        WORKLOAD,
        "from the launcher's last mark until the program's line has been read; the whole start of a \
         target that marks nothing",
    ));
    parts
}

/// What one fresh instance measures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Names of the figures that the case gives values of.
    pub metrics: Vec<&'static str>,
    /// The part of those figures that the values are of; [`TOTAL`] for whole ones.
    pub part: String,
}

impl Case {
    /// A case that gives whole values of `metrics`.
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
    /// Rounds whose samples are kept but don't count.
    pub warmup: u32,
    /// Rounds that count.
    pub measured: u32,
}

impl Rounds {
    /// Rounds to warm up, then rounds that count.
    pub const fn new(warmup: u32, measured: u32) -> Self {
        Self { warmup, measured }
    }
}

/// Whether a run that names no experiments has an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inclusion {
    /// Every run has it.
    InEveryRun,
    /// A run has it if its name is given.
    IfNamed,
}

/// Whether an experiment works on the run's disk file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFile {
    /// The file need not be made.
    Unused,
    /// The file is made before the first sample.
    Used,
}

/// Whether a case can be asked of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applicability {
    /// The case is measured.
    Measured,
    /// Nobody would expect the case of the target: no row says why there is none.
    NotAsked,
    /// A reader would expect the case of the target: a row has this reason.
    Impossible(&'static str),
}

impl Applicability {
    /// Measured if `holds`, not asked otherwise.
    pub fn measured_if(holds: bool) -> Self {
        if holds {
            Self::Measured
        } else {
            Self::NotAsked
        }
    }
}
