//! Markdown: a table for a page of documentation.

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;

use super::Format;
use super::change_row::verdict;
use super::row::{FigureRow, INJECTED, rows};
use crate::compare::Comparison;
use crate::figures::summary::Summary;
use crate::model::Run;
use crate::statistics::{Interval, Tail};
use crate::words::text::one_line;
use crate::words::units;
use crate::words::{Language, Words};

pub const FORMAT: Format = Format {
    name: "markdown",
    about: "A table for a page of documentation",
    figures: |summaries| Ok(figures(summaries)),
    changes: Some(|comparison| Ok(changes(comparison))),
};

/// Longest text of a cell, in characters.
const CELL: usize = 300;

fn figures(summaries: &[Summary<'_>]) -> String {
    let rows: Vec<_> = summaries.iter().flat_map(rows).collect();
    stamp(summaries) + &table(&rows, summaries.len() > 1)
}

/// The line above a table if a processor was emulated; other formats have that in the host of each
/// row or run.
fn stamp(summaries: &[Summary<'_>]) -> String {
    let runs = summaries.iter().map(|summary| summary.run);
    let mut stamps: Vec<_> = runs.filter_map(Run::stamp).collect();
    stamps.dedup();
    let lines = stamps.iter().map(|stamp| format!("> **{stamp}**\n\n"));
    lines.collect()
}

/// The header of a table for people.
const HEADER: [&str; 10] = [
    "experiment",
    "metric",
    "target",
    "median",
    "95 % interval",
    "ratio",
    "verdict",
    "p95",
    "p99",
    "success",
];

/// A table for people; the host is a column if there are several runs.
fn table(rows: &[FigureRow<'_>], several: bool) -> String {
    let header = several.then_some("host").into_iter().chain(HEADER);
    let rows = rows.iter().map(|row| {
        let host = several.then(|| row.host.to_owned());
        host.into_iter().chain(texts(row))
    });
    write(header, rows)
}

fn texts(row: &FigureRow<'_>) -> [String; HEADER.len()] {
    let unit = row.metric_unit;
    let interval = row.low.zip(row.high).zip(row.median);
    let interval =
        interval.map(|((low, high), median)| units::interval(unit, Interval { low, high }, median));
    let [p95, p99, success] = tail_texts(row);
    [
        row.experiment.to_owned(),
        row.metric.to_owned(),
        row.target.to_owned(),
        match (row.median, &row.reason) {
            (Some(median), _) if row.status == INJECTED => {
                format!(
                    "{} (a delay was added on purpose)",
                    units::value(unit, median)
                )
            }
            (Some(median), _) => units::value(unit, median),
            (None, Some(reason)) => format!("{}: {reason}", row.status),
            (None, None) => row.status.to_owned(),
        },
        interval.unwrap_or_default(),
        row.ratio.map(units::ratio).unwrap_or_default(),
        row.word.unwrap_or_default().to_owned(),
        p95,
        p99,
        success,
    ]
}

/// The far quantiles and the success rate of a row, each with how sure it is.
fn tail_texts(row: &FigureRow<'_>) -> [String; 3] {
    let Some(tail) = row.tail else {
        return Default::default();
    };
    let words = Words::of(Language::English);
    let unit = row.metric_unit;
    let quantile = |tail: Tail| {
        let bounds = words.bounds(unit, tail);
        format!("{} ({bounds})", units::value(unit, tail.value))
    };
    let quantile = |tail: Option<Tail>| tail.map(quantile).unwrap_or_default();
    let share = units::share(tail.success.share);
    let success = match tail.success.interval {
        Some(interval) => format!("{share} ({})", units::share_interval(interval)),
        None => share,
    };
    [quantile(tail.p95), quantile(tail.p99), success]
}

fn changes(comparison: &Comparison<'_>) -> String {
    let rows = comparison.rows.iter().map(|row| {
        let unit = row.metric.unit;
        let pair = row.pair();
        let (verdict, reason) = verdict(&row.presence);
        let percent = |ratio: f64| units::percent(ratio - 1.0);
        let value = |value: Option<f64>| value.map(|value| units::value(unit, value));
        let change = pair.and_then(|pair| pair.ratio);
        let interval = pair.and_then(|pair| pair.interval);
        [
            row.experiment.to_owned(),
            row.metric.name.clone(),
            row.target.to_owned(),
            value(pair.map(|pair| pair.base)).unwrap_or_default(),
            value(pair.map(|pair| pair.new)).unwrap_or_default(),
            change
                .map(|ratio| percent(ratio) + " %")
                .unwrap_or_default(),
            interval
                .map(|interval| {
                    format!("{} to {} %", percent(interval.low), percent(interval.high))
                })
                .unwrap_or_default(),
            reason.map_or(verdict.to_owned(), |reason| format!("{verdict}: {reason}")),
        ]
    });
    let header = [
        "experiment",
        "metric",
        "target",
        "base",
        "new",
        "change",
        "95 % interval",
        "verdict",
    ];
    let table = write(header, rows);
    if comparison.obstacles.is_empty() {
        return table;
    }
    let obstacles = comparison.obstacles.iter();
    let lines: Vec<_> = obstacles
        .map(|obstacle| format!("> - {obstacle}\n"))
        .collect();
    format!(
        "> **Not the same conditions**: changes may be the host's.\n>\n{}\n{table}",
        lines.concat()
    )
}

/// A table. What would begin another cell or row in it is replaced.
fn write<'h>(
    header: impl IntoIterator<Item = &'h str>,
    rows: impl IntoIterator<Item: IntoIterator<Item = String>>,
) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(header);
    for row in rows {
        // A vertical bar or a line end would begin another cell or row.
        let row = row.into_iter();
        table.add_row(row.map(|text| one_line(&text, CELL).replace('|', "\\|")));
    }
    table.trim_fmt() + "\n"
}
