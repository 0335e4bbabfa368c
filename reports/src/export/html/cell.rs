//! One figure as texts: its median, its ratio with the verdict, and what is behind them.

use crate::model::Metric;
use crate::statistics::Interval;
use crate::summary::{Cell, Column, Figure, Outcome, Test};
use crate::units;

/// One figure, or why there is none.
pub struct CellView {
    pub column: String,
    pub value: Option<ValueView>,
    pub missing: &'static str,
    pub reason: String,
}

/// A figure in words.
pub struct ValueView {
    pub median: String,
    pub interval: Option<String>,
    pub ratio: Option<String>,
    pub ratio_interval: Option<String>,
    pub verdict: Option<VerdictView>,
    pub count: String,
}

/// What can be said of a ratio: a word, and the numbers behind it.
pub struct VerdictView {
    pub word: &'static str,
    pub detail: String,
}

/// Puts a figure, or the reason for which there is none, into words.
pub fn view(title: &str, column: &Column<'_>, cell: &Cell<'_>) -> CellView {
    let (missing, reason) = match &cell.outcome {
        Outcome::Measured(_) => ("", String::new()),
        Outcome::Unavailable(reason) => ("unavailable", (*reason).to_owned()),
        Outcome::Failed => (
            "failed",
            cell.failures
                .iter()
                .map(|failure| failure.reason)
                .collect::<Vec<_>>()
                .join("; "),
        ),
        Outcome::NotTaken => ("not measured", String::new()),
    };
    let value = cell.figure().map(|figure| value(column, cell, figure));
    CellView {
        column: title.to_owned(),
        value,
        missing,
        reason,
    }
}

fn value(column: &Column<'_>, cell: &Cell<'_>, figure: &Figure<'_>) -> ValueView {
    let unit = column.metric.unit;
    let good = format!(
        "{} sample{}",
        figure.count,
        if figure.count == 1 { "" } else { "s" }
    );
    let failed = cell.failed();
    let ratio_interval = figure.ratio.and_then(|ratio| ratio.interval);
    ValueView {
        median: units::value(unit, figure.median),
        interval: figure
            .interval
            .map(|interval: Interval| units::interval(unit, interval, figure.median)),
        ratio: figure.ratio.map(|ratio| units::ratio(ratio.value)),
        ratio_interval: ratio_interval.map(units::ratio_interval),
        verdict: figure
            .ratio
            .map(|ratio| verdict(column.metric, &ratio.test)),
        count: [
            Some(good),
            (failed > 0).then(|| format!("{failed} failed")),
            outliers(figure),
        ]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", "),
    }
}

fn outliers(figure: &Figure<'_>) -> Option<String> {
    match figure.outliers.all {
        0 => None,
        1 => Some("1 outlier".to_owned()),
        several => Some(format!("{several} outliers")),
    }
}

fn verdict(metric: &Metric, test: &Test) -> VerdictView {
    let (p, corrected) = (units::p_value(test.p), units::p_value(test.corrected));
    VerdictView {
        word: test.verdict.word(metric.unit, metric.better),
        detail: format!(
            "permutation test: p {p}; corrected for all tests of the run: p {corrected}"
        ),
    }
}
