//! The figures of a run: for each target and metric a median with its interval, or the reason for
//! which there is none.
//!
//! The terminal's screen and tables, the charts and the HTML document are all drawn from this
//! summary, so they can't contradict each other.

mod build;
mod difference;
mod gaps;

use std::collections::HashMap;

use crate::figures::name::FigureName;
use crate::figures::noise::Noise;
use crate::figures::parts::PartFigure;
use crate::figures::prices::is_price_list;
use crate::model::{Experiment, Metric, Run, Sample, Target, TargetKind};
use crate::schema::MetricSchema;
use crate::statistics::shape::Outliers;
use crate::statistics::{Interval, ROUNDS_FOR_95, Series};

pub use difference::{Difference, MINIMUM_EFFECT, SIGNIFICANCE, Test, is_large};
pub use gaps::Gap;

/// The figures of one run, experiment by experiment.
#[derive(Debug)]
pub struct Summary<'a> {
    /// The run.
    pub run: &'a Run,
    /// The target that ratios refer to: rung 0 of the ladder, or the target that was asked for.
    /// Nothing if the run doesn't have that target.
    pub baseline: Option<&'a Target>,
    /// One section per experiment, in the run's order.
    pub sections: Vec<Section<'a>>,
}

/// The figures of one experiment.
#[derive(Debug)]
pub struct Section<'a> {
    /// The experiment.
    pub experiment: &'a Experiment,
    /// One column per metric, in order; headlines name the first.
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
    /// The figure, or why there is none.
    pub content: CellContent<'a>,
    /// The reasons for which samples failed, each with the number of these samples.
    pub failures: Vec<Failure<'a>>,
}

/// A figure, or why there is none.
#[derive(Debug)]
pub enum CellContent<'a> {
    /// The figure: at least one sample counts.
    Figure(Box<Figure<'a>>),
    /// The host can't run the target, or the target can't give the metric, for this reason.
    Unavailable(&'a str),
    /// Every sample failed; [`Cell::failures`] has the reasons.
    Failed,
    /// No sample was taken: the run ended before, or the metric doesn't exist for the target.
    NotTaken,
}

/// A reason for which samples failed.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure<'a> {
    /// The reason.
    pub reason: &'a str,
    /// The number of samples that failed for this reason.
    pub count: usize,
}

/// A median, and how sure it is.
#[derive(Debug)]
pub struct Figure<'a> {
    /// The samples that count.
    pub series: Series,
    /// The median of the samples.
    pub median: f64,
    /// The 95 % interval of the median; absent for a single sample. Its low end is lower by the
    /// metric's resolution.
    pub interval: Option<Interval>,
    /// The number of samples that count.
    pub count: usize,
    /// The samples that lie far from the others; they count like all others.
    pub outliers: Outliers,
    /// The median over the baseline's median; absent unless both are positive, and for the baseline
    /// itself.
    pub ratio: Option<Ratio>,
    /// The parts of the whole, in order; empty if the metric has no parts.
    pub parts: Vec<PartFigure<'a>>,
}

impl Figure<'_> {
    /// Whether there are too few samples for the interval to hold the truth 95 times in 100.
    pub fn is_thin(&self) -> bool {
        self.count < ROUNDS_FOR_95
    }

    /// Whether the figure may as well be the baseline's. If there are too few samples for a test,
    /// the interval of the ratio decides.
    pub fn is_no_different(&self) -> bool {
        self.ratio.is_some_and(|ratio| match ratio.test.difference {
            Difference::NoDifference => true,
            Difference::TooFewSamples => ratio.interval.is_some_and(|interval| interval.holds(1.0)),
            Difference::Better | Difference::Worse => false,
        })
    }
}

/// A figure's ratio to the baseline's figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// The figure's median over the baseline's.
    pub value: f64,
    /// The 95 % interval of the ratio; absent if the baseline may be as short as the metric's
    /// resolution.
    pub interval: Option<Interval>,
    /// Whether the ratio is a difference at all.
    pub test: Test,
}

impl<'a> Cell<'a> {
    /// The figure, if there is one.
    pub fn figure(&self) -> Option<&Figure<'a>> {
        match &self.content {
            CellContent::Figure(figure) => Some(figure),
            _ => None,
        }
    }

    /// Whether the target was tried: at least one sample counts or failed.
    pub fn was_tried(&self) -> bool {
        matches!(self.content, CellContent::Figure(_) | CellContent::Failed)
    }

    /// The number of failed samples.
    pub fn failed(&self) -> usize {
        self.failures.iter().map(|failure| failure.count).sum()
    }
}

impl<'a> Section<'a> {
    /// The column that stands for the experiment: its first. A price list has no such column, nor
    /// has an experiment about numbers of instances: all their columns belong together.
    pub fn leading(&self) -> Option<&Column<'a>> {
        let is_list = is_price_list(self.experiment);
        let column = self.columns.first()?;
        (!is_list && column.metric.at_once.is_none()).then_some(column)
    }

    /// The figures of a metric, if the experiment has it.
    pub fn column(&self, metric: MetricSchema) -> Option<&Column<'a>> {
        let mut columns = self.columns.iter();
        columns.find(|column| column.metric.name == metric.name)
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

    /// Whether any figure has parts.
    pub fn has_parts(&self) -> bool {
        self.cells
            .iter()
            .filter_map(Cell::figure)
            .any(|figure| !figure.parts.is_empty())
    }
}

impl<'a> Summary<'a> {
    /// Works out every figure of a run, with ratios to rung 0 of the ladder.
    pub fn of(run: &'a Run) -> Self {
        Self::against(run, None)
    }

    /// Works out every figure of a run, with ratios to the target named `baseline`, or to rung 0 of
    /// the ladder if no name is given. There are no ratios if the run doesn't have that target.
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
        difference::judge(&mut sections, floor);
        Self {
            run,
            baseline,
            sections,
        }
    }

    /// The figures of an experiment, if the run has it.
    pub fn section(&self, experiment: &str) -> Option<&Section<'a>> {
        let mut sections = self.sections.iter();
        sections.find(|section| section.experiment.name == experiment)
    }

    /// Whether a table of `section` has a row for the target at `index`: not if only other
    /// experiments have samples of the target.
    pub fn has_row(&self, section: &Section<'_>, index: usize) -> bool {
        let is_asked = |section: &Section<'_>| {
            section
                .columns
                .iter()
                .any(|column| !matches!(column.cells[index].content, CellContent::NotTaken))
        };
        is_asked(section) || !self.sections.iter().any(is_asked)
    }

    /// Every figure of the run.
    pub fn figures(&self) -> impl Iterator<Item = &Figure<'a>> {
        let columns = self.sections.iter().flat_map(|section| &section.columns);
        let cells = columns.flat_map(|column| &column.cells);
        cells.filter_map(Cell::figure)
    }

    /// Whether any figure has too few samples for its interval.
    pub fn is_thin(&self) -> bool {
        self.figures().any(Figure::is_thin)
    }

    /// Whether any ratio differs in this way.
    pub fn says(&self, verdict: Difference) -> bool {
        let mut ratios = self.figures().filter_map(|figure| figure.ratio);
        ratios.any(|ratio| ratio.test.difference == verdict)
    }
}

#[cfg(test)]
mod tests;
