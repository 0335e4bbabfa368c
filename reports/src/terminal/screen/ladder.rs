//! The ladder: the leading figure of up to four experiments for each target that was measured.

use super::FLUSH;
use super::columns::{Drawn, table};
use crate::figures::leading::{ABREAST, by_importance};
use crate::figures::summary::{Cell, CellContent, Column, Difference, Section, Summary};
use crate::model::TargetKind;
use crate::schema::{MetricSchema, cpu, disk, memory, startup};
use crate::terminal::Style;
use crate::terminal::wrap::{clip, wrap};
use crate::words::text::one_line;
use crate::words::units;

/// Most lines that say how to read the ladder.
const LEGEND_LINES: usize = 2;

/// Longest name of a target, longest text of a cell, and longest title: what a hostile file can
/// make of a line.
pub(super) const NAME: usize = 20;
const CELL: usize = 12;
const TITLE: usize = 16;

/// What the leading figures are called on the screen.
const TITLES: [(&str, MetricSchema, &str); 4] = [
    (startup::NAME, startup::READY, "start-up"),
    (memory::NAME, memory::CHARGE, "memory"),
    (cpu::NAME, cpu::SYSTEM_CALL, "system call"),
    (disk::NAME, disk::SEQ_READ_DIRECT, "disk read"),
];

/// The ladder in at most `height` lines, with its heading and how to read it; nothing if no target
/// was measured.
pub fn lines(summary: &Summary<'_>, style: Style, width: usize, height: usize) -> Vec<String> {
    let columns = columns(summary);
    let mut rows = measured(summary, &columns);
    if rows.is_empty() {
        return Vec::new();
    }
    // The heading, the count of further targets, and how to read it.
    let most = height.saturating_sub(2 + LEGEND_LINES);
    let rest = rows.len().saturating_sub(most);
    rows.truncate(most);
    let columns = columns
        .iter()
        .map(|(section, column)| drawn(section, column, &rows));
    let names = rows
        .iter()
        .map(|row| one_line(&summary.run.targets[*row].name, NAME));
    let mut lines = table(&names.collect::<Vec<_>>(), columns.collect(), style, width);
    lines.extend((rest > 0).then(|| format!("and {rest} more in the report")));
    lines.extend(clip(wrap(&legend(summary), FLUSH, width), LEGEND_LINES));
    lines
}

/// A leading column, with medians and their ratios.
fn drawn(section: &Section<'_>, column: &Column<'_>, rows: &[usize]) -> Drawn {
    let texts = rows.iter().map(|row| texts(column, &column.cells[*row]));
    Drawn {
        title: title(section, column),
        texts: texts.collect(),
    }
}

/// The leading columns that have a figure, the most important first.
fn columns<'s, 'a>(summary: &'s Summary<'a>) -> Vec<(&'s Section<'a>, &'s Column<'a>)> {
    let sections = by_importance(summary).into_iter();
    let columns = sections.filter_map(|section| Some((section, section.leading()?)));
    let with_figures = columns.filter(|(_, column)| column.has_figures());
    with_figures.take(ABREAST).collect()
}

/// The places of the rungs and peers that have a figure in any of `columns`, or failed in it.
/// Floors are left out: they do a part of what a rung does, and have few of these figures.
fn measured(summary: &Summary<'_>, columns: &[(&Section<'_>, &Column<'_>)]) -> Vec<usize> {
    let was_tried = |row: &usize| {
        let mut columns = columns.iter();
        columns.any(|(_, column)| column.cells[*row].was_tried())
    };
    let targets = &summary.run.targets;
    let is_floor = |row: &usize| targets[*row].kind == TargetKind::Floor;
    let places = (0..targets.len()).filter(|row| !is_floor(row));
    places.filter(was_tried).collect()
}

/// The title of a column: a word or two for what every run measures, else the names.
fn title(section: &Section<'_>, column: &Column<'_>) -> String {
    let (experiment, metric) = (&section.experiment.name, &column.metric.name);
    let known = TITLES
        .iter()
        .find(|(name, schema, _)| name == experiment && schema.name == metric);
    match known {
        Some((.., title)) => (*title).to_owned(),
        None => one_line(experiment, TITLE),
    }
}

/// The median and the ratio of a cell, or a word for why there is none.
pub(super) fn texts(column: &Column<'_>, cell: &Cell<'_>) -> [String; 2] {
    let Some(figure) = cell.figure() else {
        let word = match cell.content {
            CellContent::Failed => "failed",
            _ => "–",
        };
        return [word.to_owned(), String::new()];
    };
    let ratio = figure.ratio.map(|ratio| match ratio.test.difference {
        Difference::NoDifference => "same".to_owned(),
        Difference::TooFewSamples => units::ratio(ratio.value) + "?",
        Difference::Better | Difference::Worse => units::ratio(ratio.value),
    });
    let median = units::value(column.metric.unit, figure.median);
    [median, ratio.unwrap_or_default()].map(|text| one_line(&text, CELL))
}

/// How to read a cell.
pub(super) fn legend(summary: &Summary<'_>) -> String {
    let Some(baseline) = summary.baseline else {
        return "medians".to_owned();
    };
    let mut legend = format!(
        "medians, with their ratios to {}",
        one_line(&baseline.name, NAME)
    );
    if summary.says(Difference::NoDifference) {
        legend += "; same: no difference beyond chance and noise";
    }
    if summary.says(Difference::TooFewSamples) {
        legend += "; ?: too few samples to tell";
    }
    legend
}
