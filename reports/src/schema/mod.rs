//! The names of everything that isobench measures: each experiment, and each of its metrics with
//! title and unit.
//!
//! Each experiment has a file here. The harness writes the metrics of a results file from these
//! declarations, and the report looks for a figure by the same constants, so a name is written
//! once. A results file may have other metrics too; the report shows them like any other.

pub mod burst;
pub mod cpu;
pub mod density;
pub mod disk;
pub mod explain;
pub mod hyperfine;
pub mod image;
pub mod isolation;
pub mod memory;
pub mod net;
pub mod parallel;
pub mod start_beside;
pub mod start_cold;
pub mod start_gaps;
pub mod start_parts;
pub mod start_warm;
pub mod startup;
pub mod time;

use crate::model::{Better, Experiment, Metric, MetricFamily, Sign, Unit};

/// Every experiment with its metrics, in the order of the report. The experiments `time-NAME` have
/// the metrics of [`time`].
pub const EXPERIMENTS: [(&str, &[MetricSchema]); 16] = [
    (startup::NAME, &startup::METRICS),
    (start_parts::NAME, &start_parts::METRICS),
    (parallel::NAME, &parallel::METRICS),
    (burst::NAME, &burst::METRICS),
    (start_cold::NAME, &start_cold::METRICS),
    (start_gaps::NAME, &start_gaps::METRICS),
    (start_beside::NAME, &start_beside::METRICS),
    (start_warm::NAME, &start_warm::METRICS),
    (memory::NAME, &memory::METRICS),
    (density::NAME, &density::METRICS),
    (cpu::NAME, &cpu::METRICS),
    (disk::NAME, &disk::METRICS),
    (net::NAME, &net::METRICS),
    (image::NAME, &image::METRICS),
    (isolation::NAME, &isolation::METRICS),
    (time::NAME, &time::METRICS),
];

/// The declaration of one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricSchema {
    /// The metric's name, unique within its experiment; it never changes.
    pub name: &'static str,
    /// The metric's name for people.
    pub title: &'static str,
    /// The unit of the metric's samples.
    pub unit: Unit,
    /// Which way the metric is better.
    pub better: Better,
    /// What kind of figure the metric is.
    pub family: MetricFamily,
    /// Whether the metric's samples may be below zero.
    pub sign: Sign,
}

impl MetricSchema {
    /// A time in nanoseconds, of which less is better.
    const fn time(name: &'static str, title: &'static str, family: MetricFamily) -> Self {
        Self {
            name,
            title,
            unit: Unit::Nanoseconds,
            better: Better::Lower,
            family,
            sign: Sign::NonNegative,
        }
    }

    /// A number of bytes, of which less is better. The harness may subtract what the program itself
    /// takes, so a sample may be below zero.
    const fn bytes(name: &'static str, title: &'static str, family: MetricFamily) -> Self {
        Self {
            unit: Unit::Bytes,
            sign: Sign::Any,
            ..Self::time(name, title, family)
        }
    }

    /// Bytes a second.
    const fn throughput(name: &'static str, title: &'static str, family: MetricFamily) -> Self {
        Self {
            unit: Unit::BytesPerSecond,
            better: Better::Higher,
            ..Self::time(name, title, family)
        }
    }

    /// Operations a second.
    const fn rate(name: &'static str, title: &'static str, family: MetricFamily) -> Self {
        Self {
            unit: Unit::OperationsPerSecond,
            ..Self::throughput(name, title, family)
        }
    }

    /// A number of something.
    const fn count(name: &'static str, title: &'static str, better: Better) -> Self {
        Self {
            unit: Unit::Count,
            better,
            ..Self::time(name, title, MetricFamily::Count)
        }
    }

    /// The metric of a results file that this schema declares, without parts.
    pub fn to_metric(self) -> Metric {
        Metric {
            name: self.name.to_owned(),
            title: self.title.to_owned(),
            unit: self.unit,
            better: self.better,
            family: self.family,
            sign: self.sign,
            at_once: None,
            idle_gap_ms: None,
            resolution: None,
            parts: Vec::new(),
        }
    }
}

/// Whether a run of `experiments` is about timed commands: some experiment times a command, and all
/// others explain the commands or have the prices of what the commands do.
pub fn are_of_commands(experiments: &[Experiment]) -> bool {
    let supports = |name: &str| explain::is_explanation(name) || explain::PRICES.contains(&name);
    let mut names = experiments
        .iter()
        .map(|experiment| experiment.name.as_str());
    names.clone().any(time::is_time) && names.all(|name| time::is_time(name) || supports(name))
}

/// The declaration of a metric, if isobench has such a metric.
pub fn find(experiment: &str, metric: &str) -> Option<MetricSchema> {
    let experiment = if time::is_time(experiment) {
        time::NAME
    } else {
        experiment
    };
    let (_, metrics) = EXPERIMENTS
        .into_iter()
        .find(|(name, _)| *name == experiment)?;
    metrics.iter().copied().find(|known| known.name == metric)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_metric_has_a_name_of_its_own_and_a_family() {
        let mut names = HashSet::new();
        for (experiment, metrics) in EXPERIMENTS {
            for metric in metrics {
                assert!(names.insert((experiment, metric.name)), "{metric:?}");
                assert_ne!(metric.family, MetricFamily::Other, "{metric:?}");
            }
        }
    }

    #[test]
    fn a_metric_is_found_by_its_experiment_and_name() {
        assert_eq!(find(startup::NAME, "ready"), Some(startup::READY));
        assert_eq!(find(memory::NAME, "ready"), None);
        assert_eq!(find("time", "ready"), Some(time::READY));
        assert_eq!(find("time-sort", "ready"), Some(time::READY));
        assert_eq!(find("time-", "ready"), None);
        assert_eq!(find("weather", "ready"), None);
    }
}
