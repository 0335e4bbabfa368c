//! One figure as a row of a table.

use serde::Serialize;

use crate::figures::summary::{Cell, CellContent, Figure, Section, Summary};
use crate::figures::tails::{self, TargetTail};
use crate::model::{Better, Metric, Unit};
use crate::statistics::{Bounds, Tail};

/// The status of a figure.
pub const OK: &str = "ok";

/// The status of a figure to which a delay was added on purpose.
pub const INJECTED: &str = "injected";

/// One figure, or the reason for which there is none.
#[derive(Debug, Serialize)]
pub struct FigureRow<'a> {
    pub host: &'a str,
    pub started: &'a str,
    pub target: &'a str,
    pub experiment: &'a str,
    pub metric: &'a str,
    pub unit: &'static str,
    pub better: Better,
    pub status: &'static str,
    pub median: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub samples: usize,
    pub failed: usize,
    pub outliers: usize,
    pub baseline: Option<&'a str>,
    pub ratio: Option<f64>,
    pub ratio_low: Option<f64>,
    pub ratio_high: Option<f64>,
    pub p: Option<f64>,
    pub verdict: Option<&'static str>,
    pub reason: Option<String>,
    pub p95: Option<f64>,
    pub p95_low: Option<f64>,
    pub p95_high: Option<f64>,
    pub p95_needs: Option<usize>,
    pub p99: Option<f64>,
    pub p99_low: Option<f64>,
    pub p99_high: Option<f64>,
    pub p99_needs: Option<usize>,
    pub success: Option<f64>,
    pub success_low: Option<f64>,
    pub success_high: Option<f64>,
    pub resolution: Option<f64>,
    #[serde(skip)]
    pub metric_unit: Unit,
    #[serde(skip)]
    pub word: Option<&'static str>,
    #[serde(skip)]
    pub tail: Option<TargetTail<'a>>,
}

/// Every figure of a run and every missing figure, in the order of the run.
pub fn rows<'a>(summary: &Summary<'a>) -> Vec<FigureRow<'a>> {
    let mut rows = Vec::new();
    for section in &summary.sections {
        for column in &section.columns {
            let tails = tails::of_column(summary, section, column);
            let cells = column.cells.iter().enumerate();
            rows.extend(cells.filter_map(|(index, cell)| {
                let tail = tails.iter().copied().find(|tail| tail.index == index);
                row(summary, section, column.metric, (cell, tail))
            }));
        }
    }
    rows
}

/// The row of a cell; nothing if the target wasn't tried and no reason is known.
fn row<'a>(
    summary: &Summary<'a>,
    section: &Section<'a>,
    metric: &'a Metric,
    (cell, tail): (&Cell<'a>, Option<TargetTail<'a>>),
) -> Option<FigureRow<'a>> {
    let failed = cell.failures.first().map(|failure| failure.reason);
    let injections = &summary.run.conduct.injections;
    let is_injected = injections.iter().any(|injection| {
        (&injection.target, &injection.experiment) == (&cell.target.name, &section.experiment.name)
    });
    let (status, reason) = match &cell.content {
        CellContent::Figure(_) if is_injected => (INJECTED, failed),
        CellContent::Figure(_) => (OK, failed),
        CellContent::Unavailable(reason) => ("unavailable", Some(*reason)),
        CellContent::Failed => ("failed", failed),
        CellContent::NotTaken => return None,
    };
    let figure = cell.figure();
    let ratio = figure.and_then(|figure| figure.ratio);
    let interval = figure.and_then(|figure: &Figure<'_>| figure.interval);
    let ratio_interval = ratio.and_then(|ratio| ratio.interval);
    let p95 = Quantile::of(tail.and_then(|tail| tail.p95));
    let p99 = Quantile::of(tail.and_then(|tail| tail.p99));
    let success = tail.map(|tail| tail.success);
    let success_interval = success.and_then(|success| success.interval);
    Some(FigureRow {
        host: &summary.run.host.summary,
        started: &summary.run.started,
        target: &cell.target.name,
        experiment: &section.experiment.name,
        metric: &metric.name,
        unit: metric.unit.symbol(),
        better: metric.better,
        status,
        median: figure.map(|figure| figure.median),
        low: interval.map(|interval| interval.low),
        high: interval.map(|interval| interval.high),
        samples: figure.map_or(0, |figure| figure.count),
        failed: cell.failed(),
        outliers: figure.map_or(0, |figure| figure.outliers.all),
        baseline: ratio
            .and(summary.baseline)
            .map(|target| target.name.as_str()),
        ratio: ratio.map(|ratio| ratio.value),
        ratio_low: ratio_interval.map(|interval| interval.low),
        ratio_high: ratio_interval.map(|interval| interval.high),
        p: ratio.map(|ratio| ratio.test.corrected),
        verdict: ratio.map(|ratio| ratio.test.difference.name()),
        reason: reason.map(str::to_owned),
        p95: p95.value,
        p95_low: p95.low,
        p95_high: p95.high,
        p95_needs: p95.needs,
        p99: p99.value,
        p99_low: p99.low,
        p99_high: p99.high,
        p99_needs: p99.needs,
        success: success.map(|success| success.share),
        success_low: success_interval.map(|interval| interval.low),
        success_high: success_interval.map(|interval| interval.high),
        resolution: metric.resolution,
        metric_unit: metric.unit,
        word: ratio.map(|ratio| ratio.test.difference.word(metric.unit, metric.better)),
        tail,
    })
}

/// A far quantile as the columns of a row.
#[derive(Debug, Default)]
struct Quantile {
    value: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    /// How many samples more an interval takes; absent too if nobody knows.
    needs: Option<usize>,
}

impl Quantile {
    fn of(tail: Option<Tail>) -> Self {
        let Some(tail) = tail else {
            return Self::default();
        };
        let interval = tail.bounds.interval();
        Self {
            value: Some(tail.value),
            low: interval.map(|interval| interval.low),
            high: interval.map(|interval| interval.high),
            needs: match tail.bounds {
                Bounds::Needs(more) => Some(more),
                Bounds::Within(_) | Bounds::NeedsRounds => None,
            },
        }
    }
}
