//! A cell of a table as texts: its median, its ratio, and the numbers behind them.

use crate::figures::summary::{Cell, CellContent, Column, Figure, Test};
use crate::model::Metric;
use crate::statistics::Interval;
use crate::words::Words;
use crate::words::units;

/// A figure in words, or why there is none.
pub struct CellView {
    pub column: String,
    pub value: Option<ValueView>,
    pub missing: String,
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

/// What a test says of a ratio: a word, and the numbers behind the word.
pub struct VerdictView {
    pub word: String,
    pub detail: String,
}

/// Puts a figure, or the reason for which there is none, into words.
pub fn view(title: &str, column: &Column<'_>, cell: &Cell<'_>, words: &Words) -> CellView {
    let (missing, reason) = match &cell.content {
        CellContent::Unavailable(reason) => ("cell.unavailable", (*reason).to_owned()),
        CellContent::Failed => (
            "cell.failed",
            cell.failures
                .iter()
                .map(|failure| failure.reason)
                .collect::<Vec<_>>()
                .join("; "),
        ),
        CellContent::Figure(_) | CellContent::NotTaken => ("cell.not-measured", String::new()),
    };
    let value = cell
        .figure()
        .map(|figure| value(column, cell, figure, words));
    CellView {
        column: title.to_owned(),
        value,
        missing: words.text(missing).to_owned(),
        reason,
    }
}

fn value(column: &Column<'_>, cell: &Cell<'_>, figure: &Figure<'_>, words: &Words) -> ValueView {
    let unit = column.metric.unit;
    let good = count(words, ["cell.sample", "cell.samples"], figure.count);
    let failed = cell.failed();
    let ratio_interval = figure.ratio.and_then(|ratio| ratio.interval);
    ValueView {
        median: units::value(unit, figure.median),
        interval: figure
            .interval
            .map(|interval: Interval| words.interval(unit, interval, figure.median)),
        ratio: figure.ratio.map(|ratio| units::ratio(ratio.value)),
        ratio_interval: ratio_interval.map(|interval| words.ratio_interval(interval)),
        verdict: figure
            .ratio
            .map(|ratio| verdict(column.metric, &ratio.test, words)),
        count: [
            Some(good),
            (failed > 0).then(|| words.say("cell.failures", &[("count", &failed)])),
            (figure.outliers.all > 0).then(|| {
                count(
                    words,
                    ["cell.outlier", "cell.outliers"],
                    figure.outliers.all,
                )
            }),
        ]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(words.text("list.comma")),
    }
}

/// A count in the words for one or for several.
fn count(words: &Words, [one, several]: [&str; 2], count: usize) -> String {
    words.say(if count == 1 { one } else { several }, &[("count", &count)])
}

fn verdict(metric: &Metric, test: &Test, words: &Words) -> VerdictView {
    let (p, corrected) = (units::p_value(test.p), units::p_value(test.corrected));
    VerdictView {
        word: word(test.difference.word(metric.unit, metric.better), words),
        detail: words.say("cell.test", &[("p", &p), ("corrected", &corrected)]),
    }
}

/// The word for a difference in the report's language.
fn word(english: &str, words: &Words) -> String {
    let known = words.find(&format!("word.{}", english.replace(' ', "-")));
    known.unwrap_or(english).to_owned()
}
