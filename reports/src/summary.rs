//! The figures of a run: for each target and metric a median with its interval, or the reason for which there is none.
//!
//! The terminal's table, the charts and the HTML document are all drawn from this one summary, so they can't disagree.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use crate::model::{Experiment, Metric, Run, Sample, Status, TOTAL, Target, TargetKind};
use crate::parts::{PartFigure, divide};
use crate::statistics::{Interval, ROUNDS_FOR_95, Series};

/// The figures of one run, experiment by experiment.
#[derive(Debug)]
pub struct Summary<'a> {
    /// The run that they are of.
    pub run: &'a Run,
    /// The target that ratios refer to: rung 0 of the ladder, if the run has it.
    pub baseline: Option<&'a Target>,
    /// One section per experiment, in the run's order.
    pub sections: Vec<Section<'a>>,
}

/// The figures of one experiment.
#[derive(Debug)]
pub struct Section<'a> {
    /// The experiment.
    pub experiment: &'a Experiment,
    /// One column per metric, in order; the first is the one that headlines name.
    pub columns: Vec<Column<'a>>,
}

/// One metric over all targets.
#[derive(Debug)]
pub struct Column<'a> {
    /// The metric.
    pub metric: &'a Metric,
    /// One cell per target of the run, in the run's order.
    pub cells: Vec<Cell<'a>>,
}

/// One metric of one target.
#[derive(Debug)]
pub struct Cell<'a> {
    /// The target.
    pub target: &'a Target,
    /// What came out.
    pub outcome: Outcome<'a>,
    /// Failures among its samples, each reason with how often it came.
    pub failures: Vec<Failure<'a>>,
}

/// What came out of measuring one metric of one target.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// There is at least one good sample.
    Measured(Box<Figure<'a>>),
    /// The host can't run it, for this reason.
    Unavailable(&'a str),
    /// Every sample failed; the reasons are in [`Cell::failures`].
    Failed,
    /// No sample was taken: the run ended before, or the metric doesn't exist for this target.
    NotTaken,
}

/// A reason for which samples failed.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure<'a> {
    /// The reason.
    pub reason: &'a str,
    /// Number of samples that it cost.
    pub count: usize,
}

/// A median and how sure it is.
#[derive(Debug)]
pub struct Figure<'a> {
    /// The good samples behind it.
    pub series: Series,
    /// Their median.
    pub median: f64,
    /// Its 95 % interval; absent for a single sample.
    pub interval: Option<Interval>,
    /// Number of good samples.
    pub count: usize,
    /// The median over that of the baseline, where both are positive; absent for the baseline itself.
    pub ratio: Option<Ratio>,
    /// What the whole is made of, in order; empty if it wasn't cut into parts.
    pub parts: Vec<PartFigure<'a>>,
}

impl Figure<'_> {
    /// Whether there are too few samples for an interval to hold the truth 95 times in 100.
    pub fn is_thin(&self) -> bool {
        self.count < ROUNDS_FOR_95
    }
}

/// How a figure stands to that of the baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// Median over median.
    pub value: f64,
    /// Its 95 % interval.
    pub interval: Option<Interval>,
}

impl<'a> Cell<'a> {
    /// The figure, if there is one.
    pub fn figure(&self) -> Option<&Figure<'a>> {
        match &self.outcome {
            Outcome::Measured(figure) => Some(figure),
            _ => None,
        }
    }

    /// Number of failed samples.
    pub fn failed(&self) -> usize {
        self.failures.iter().map(|failure| failure.count).sum()
    }
}

impl<'a> Section<'a> {
    /// The metric that stands for the experiment: its first.
    pub fn leading(&self) -> Option<&Column<'a>> {
        self.columns.first()
    }
}

impl<'a> Column<'a> {
    /// The figure of a target.
    pub fn figure_of(&self, target: &str) -> Option<&Figure<'a>> {
        self.cells
            .iter()
            .find(|cell| cell.target.name == target)?
            .figure()
    }

    /// Whether any target has a figure.
    pub fn has_figures(&self) -> bool {
        self.cells.iter().any(|cell| cell.figure().is_some())
    }

    /// Whether any figure is cut into parts.
    pub fn has_parts(&self) -> bool {
        self.cells
            .iter()
            .filter_map(Cell::figure)
            .any(|figure| !figure.parts.is_empty())
    }
}

/// Samples that a target lacks although it runs here, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct Gap<'a> {
    /// The target.
    pub target: &'a str,
    /// The experiment.
    pub experiment: &'a str,
    /// The metric.
    pub metric: &'a str,
    /// The reason.
    pub reason: &'a str,
    /// Number of samples that failed; 0 if the metric is unavailable.
    pub failed: usize,
}

impl fmt::Display for Gap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            experiment,
            metric,
            reason,
            failed,
            ..
        } = self;
        match failed {
            0 => write!(f, "{experiment}, {metric}: unavailable: {reason}"),
            1 => write!(f, "{experiment}, {metric}: 1 sample failed: {reason}"),
            _ => write!(
                f,
                "{experiment}, {metric}: {failed} samples failed: {reason}"
            ),
        }
    }
}

/// What identifies a figure: target, experiment, metric.
type Key<'a> = (&'a str, &'a str, &'a str);

impl<'a> Summary<'a> {
    /// Works out every figure of a run.
    pub fn of(run: &'a Run) -> Self {
        let mut samples: HashMap<Key<'a>, Vec<&'a Sample>> = HashMap::new();
        for sample in &run.samples {
            samples
                .entry((&sample.target, &sample.experiment, &sample.metric))
                .or_default()
                .push(sample);
        }
        let baseline = run
            .targets
            .iter()
            .find(|target| target.kind == TargetKind::Rung(0));
        let sections = run
            .experiments
            .iter()
            .map(|experiment| Section {
                experiment,
                columns: experiment
                    .metrics
                    .iter()
                    .map(|metric| column(run, experiment, metric, baseline, &samples))
                    .collect(),
            })
            .collect();
        Self {
            run,
            baseline,
            sections,
        }
    }

    /// Every gap in the figures of targets that this host can run, in the order of targets.
    pub fn gaps(&self) -> Vec<Gap<'a>> {
        let mut gaps = Vec::new();
        for (index, target) in self
            .run
            .targets
            .iter()
            .enumerate()
            .filter(|(_, target)| target.unavailable.is_none())
        {
            for (section, column) in self
                .sections
                .iter()
                .flat_map(|section| section.columns.iter().map(move |column| (section, column)))
            {
                let gap = |reason, failed| Gap {
                    target: &target.name,
                    experiment: &section.experiment.name,
                    metric: &column.metric.name,
                    reason,
                    failed,
                };
                let cell = &column.cells[index];
                if let Outcome::Unavailable(reason) = cell.outcome {
                    gaps.push(gap(reason, 0));
                }
                gaps.extend(
                    cell.failures
                        .iter()
                        .map(|failure| gap(failure.reason, failure.count)),
                );
            }
        }
        gaps
    }

    /// Whether a table of `section` has a row for the target at `index`: not if it was only ever asked for
    /// other experiments.
    pub fn has_row(&self, section: &Section<'_>, index: usize) -> bool {
        let is_asked = |section: &Section<'_>| {
            section
                .columns
                .iter()
                .any(|column| !matches!(column.cells[index].outcome, Outcome::NotTaken))
        };
        is_asked(section) || !self.sections.iter().any(is_asked)
    }

    /// Whether any figure has too few samples for its interval.
    pub fn is_thin(&self) -> bool {
        let cells = self
            .sections
            .iter()
            .flat_map(|section| &section.columns)
            .flat_map(|column| &column.cells);
        cells.filter_map(Cell::figure).any(Figure::is_thin)
    }
}

fn column<'a>(
    run: &'a Run,
    experiment: &'a Experiment,
    metric: &'a Metric,
    baseline: Option<&'a Target>,
    samples: &HashMap<Key<'a>, Vec<&'a Sample>>,
) -> Column<'a> {
    let samples_of = |target: &'a Target| {
        samples
            .get(&(
                target.name.as_str(),
                experiment.name.as_str(),
                metric.name.as_str(),
            ))
            .map_or(&[][..], Vec::as_slice)
    };
    let base = baseline.map(|target| totals(samples_of(target)));
    let cells = run
        .targets
        .iter()
        .map(|target| {
            let base = base
                .as_ref()
                .filter(|_| baseline.is_some_and(|baseline| baseline.name != target.name));
            cell(target, metric, samples_of(target), base)
        })
        .collect();
    Column { metric, cells }
}

fn cell<'a>(
    target: &'a Target,
    metric: &'a Metric,
    samples: &[&'a Sample],
    baseline: Option<&Series>,
) -> Cell<'a> {
    let failures = failures(samples);
    let series = totals(samples);
    let outcome = if let Some(median) = series.median() {
        Outcome::Measured(Box::new(Figure {
            median,
            interval: series.median_interval(),
            count: series.count(),
            ratio: baseline.and_then(|baseline| {
                series.ratio(baseline).map(|value| Ratio {
                    value,
                    interval: series.ratio_interval(baseline),
                })
            }),
            parts: divide(metric, samples, median),
            series,
        }))
    } else if let Some(unavailable) = &target.unavailable {
        Outcome::Unavailable(&unavailable.reason)
    } else if let Some(sample) = samples
        .iter()
        .find(|sample| sample.status == Status::Unavailable)
    {
        Outcome::Unavailable(sample.reason.as_deref().unwrap_or("no reason was recorded"))
    } else if failures.is_empty() {
        Outcome::NotTaken
    } else {
        Outcome::Failed
    };
    Cell {
        target,
        outcome,
        failures,
    }
}

fn totals(samples: &[&Sample]) -> Series {
    let good = samples
        .iter()
        .filter(|sample| sample.status == Status::Ok && sample.part == TOTAL);
    Series::new(good.filter_map(|sample| Some((sample.round, sample.value?))))
}

/// Counts failures by reason; the rows of one instance, which share a sequence number, count once.
fn failures<'a>(samples: &[&'a Sample]) -> Vec<Failure<'a>> {
    let mut seen = BTreeSet::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for sample in samples
        .iter()
        .filter(|sample| sample.status == Status::Failed)
    {
        if seen.insert(sample.sequence) {
            *counts
                .entry(sample.reason.as_deref().unwrap_or("no reason was recorded"))
                .or_default() += 1;
        }
    }
    counts
        .into_iter()
        .map(|(reason, count)| Failure { reason, count })
        .collect()
}

#[cfg(test)]
mod tests;
