//! The figures of a run: for each target and metric a median with its interval, or the reason for which there is none.
//!
//! The terminal's table, the charts and the HTML document are all drawn from this one summary, so they can't disagree.

mod build;
mod verdict;

use std::collections::HashMap;
use std::fmt;

use crate::figures::name::FigureName;
use crate::figures::noise::Noise;
use crate::figures::parts::PartFigure;
use crate::figures::prices::is_price_list;
use crate::model::{Experiment, Metric, Run, Sample, Target, TargetKind};
use crate::statistics::shape::Outliers;
use crate::statistics::{Interval, ROUNDS_FOR_95, Series};

pub use verdict::{MINIMUM_EFFECT, SIGNIFICANCE, Test, Verdict, is_large};

/// The figures of one run, experiment by experiment.
#[derive(Debug)]
pub struct Summary<'a> {
    /// The run that they are of.
    pub run: &'a Run,
    /// The target that ratios refer to, if the run has it: rung 0 of the ladder unless another was asked for.
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
    /// Those of them that lie far from the others; they count like any other.
    pub outliers: Outliers,
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

    /// Whether the figure may as well be the baseline's. With too few samples for a test, the interval
    /// of the ratio decides.
    pub fn is_no_different(&self) -> bool {
        self.ratio.is_some_and(|ratio| match ratio.test.verdict {
            Verdict::NoDifference => true,
            Verdict::TooFew => ratio.interval.is_some_and(|interval| interval.holds(1.0)),
            Verdict::Better | Verdict::Worse => false,
        })
    }
}

/// How a figure stands to that of the baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// Median over median.
    pub value: f64,
    /// Its 95 % interval.
    pub interval: Option<Interval>,
    /// Whether it is a difference at all.
    pub test: Test,
}

impl<'a> Cell<'a> {
    /// The figure, if there is one.
    pub fn figure(&self) -> Option<&Figure<'a>> {
        match &self.outcome {
            Outcome::Measured(figure) => Some(figure),
            _ => None,
        }
    }

    /// Whether the target was tried: a sample counted, or each of them failed.
    pub fn was_tried(&self) -> bool {
        matches!(self.outcome, Outcome::Measured(_) | Outcome::Failed)
    }

    /// Number of failed samples.
    pub fn failed(&self) -> usize {
        self.failures.iter().map(|failure| failure.count).sum()
    }
}

impl<'a> Section<'a> {
    /// The metric that stands for the experiment: its first. A price list and a crowd of starts have none, for what they
    /// say is in the row of figures.
    pub fn leading(&self) -> Option<&Column<'a>> {
        let is_list = is_price_list(self.experiment);
        let column = self.columns.first()?;
        (!is_list && column.metric.at_once.is_none()).then_some(column)
    }

    /// Whether the target at `index` was tried in any metric.
    pub fn was_tried(&self, index: usize) -> bool {
        self.columns
            .iter()
            .any(|column| column.cells[index].was_tried())
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

impl<'a> Summary<'a> {
    /// Works out every figure of a run, with ratios to rung 0 of the ladder.
    pub fn of(run: &'a Run) -> Self {
        Self::against(run, None)
    }

    /// Works out every figure of a run, with ratios to the target of that name; to none if the run doesn't have it.
    pub fn against(run: &'a Run, baseline: Option<&str>) -> Self {
        let mut samples: HashMap<FigureName<'a>, Vec<&'a Sample>> = HashMap::new();
        for sample in &run.samples {
            samples
                .entry(FigureName::of(sample))
                .or_default()
                .push(sample);
        }
        let baseline = run.targets.iter().find(|target| match baseline {
            Some(name) => target.name == name,
            None => target.kind == TargetKind::Rung(0),
        });
        let section = |experiment| build::section(run, experiment, baseline, &samples);
        let mut sections: Vec<_> = run.experiments.iter().map(section).collect();
        let floor = Noise::of(run).map_or(0.0, |noise| noise.floor());
        verdict::judge(&mut sections, floor);
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

    /// Every figure that there is.
    pub fn figures(&self) -> impl Iterator<Item = &Figure<'a>> {
        let columns = self.sections.iter().flat_map(|section| &section.columns);
        let cells = columns.flat_map(|column| &column.cells);
        cells.filter_map(Cell::figure)
    }

    /// Whether any figure has too few samples for its interval.
    pub fn is_thin(&self) -> bool {
        self.figures().any(Figure::is_thin)
    }

    /// Whether any ratio has this verdict.
    pub fn says(&self, verdict: Verdict) -> bool {
        let mut ratios = self.figures().filter_map(|figure| figure.ratio);
        ratios.any(|ratio| ratio.test.verdict == verdict)
    }
}

#[cfg(test)]
mod tests;
