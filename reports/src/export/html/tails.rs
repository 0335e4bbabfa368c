//! The far quantiles and the success rates of an experiment: a chart, and a table per metric.

use super::figure::FigureView;
use super::plain::{PlainRow, PlainTable};
use crate::chart::{self, ChartError, theme};
use crate::figures::summary::{Column, Section, Summary};
use crate::figures::tails::{self, TargetTail};
use crate::model::Run;
use crate::statistics::{Proportion, Tail};
use crate::words::Words;
use crate::words::units;

/// The tables of a section; none if the report doesn't show its tails.
pub fn tables(summary: &Summary<'_>, section: &Section<'_>, words: &Words) -> Vec<PlainTable> {
    let columns = tails::shown(section);
    let table = |column| {
        let tails = tails::of_column(summary, section, column);
        let rows = tails
            .iter()
            .map(|tail| row(summary.run, column, tail, words));
        PlainTable {
            title: words.say_one("tails.title", "metric", &column.metric.title),
            columns: vec![
                words.text("tails.samples").to_owned(),
                "p50".to_owned(),
                "p95".to_owned(),
                "p99".to_owned(),
                words.text("tails.success").to_owned(),
            ],
            rows: rows.collect(),
        }
    };
    let tables = columns.map(table);
    tables.filter(|table| !table.rows.is_empty()).collect()
}

fn row(run: &Run, column: &Column<'_>, tail: &TargetTail<'_>, words: &Words) -> PlainRow {
    let unit = column.metric.unit;
    let figure = column.cells[tail.index].figure();
    let none = || (words.text("cell.not-measured").to_owned(), None);
    let median = figure.map(|figure| {
        let interval = figure.interval;
        let interval = interval.map(|interval| words.interval(unit, interval, figure.median));
        (units::value(unit, figure.median), interval)
    });
    let quantile = |tail: Option<Tail>| {
        let told = tail.map(|tail| {
            let value = units::value(unit, tail.value);
            (value, Some(words.bounds(unit, tail)))
        });
        told.unwrap_or_else(none)
    };
    let count = figure.map_or(0, |figure| figure.count);
    PlainRow {
        ink: theme::ink_of(run, tail.target).name(),
        name: tail.target.name.clone(),
        cells: vec![
            (count.to_string(), None),
            median.unwrap_or_else(none),
            quantile(tail.p95),
            quantile(tail.p99),
            success(&tail.success, words),
        ],
    }
}

/// The success rate with its interval, and behind it how many of how many succeeded.
fn success(success: &Proportion, words: &Words) -> (String, Option<String>) {
    let values: [(&str, &dyn std::fmt::Display); 2] = [
        ("successes", &success.successes),
        ("trials", &success.trials),
    ];
    let of = words.say("tails.of", &values);
    let interval = match success.interval {
        Some(interval) => {
            let interval = words.share_interval(interval);
            format!("{interval}{}{of}", words.text("list.comma"))
        }
        None => of,
    };
    (units::share(success.share), Some(interval))
}

/// The chart of a section's tails.
pub fn figure(
    summary: &Summary<'_>,
    section: &Section<'_>,
    words: &Words,
) -> Result<Option<FigureView>, ChartError> {
    let columns = tails::shown(section);
    let columns = columns.map(|column| (column, tails::of_column(summary, section, column)));
    let chart = chart::tails::render(summary.run, &columns.collect::<Vec<_>>(), words)?;
    Ok(chart.map(|chart| FigureView {
        title: words.text("tails.chart").to_owned(),
        chart,
        logarithmic: None,
        caption: words.text("tails.caption").to_owned(),
        legend: Vec::new(),
    }))
}
