//! The ladder: the leading figure of up to four experiments for each target that was measured.

use super::{FLUSH, heading};
use crate::figures::leading::{ABREAST, by_importance};
use crate::figures::summary::{Cell, CellContent, Column, Difference, Section, Summary};
use crate::model::TargetKind;
use crate::schema::{MetricSchema, cpu, disk, memory, startup};
use crate::terminal::Style;
use crate::terminal::wrap::{clip, length, wrap};
use crate::words::text::one_line;
use crate::words::units;

/// Most lines that say how to read the ladder.
const LEGEND_LINES: usize = 2;

/// Longest name of a target, longest text of a cell, and longest title: what a hostile file can
/// make of a line.
const NAME: usize = 20;
const CELL: usize = 12;
const TITLE: usize = 16;

/// Blanks between two columns, and between two that would not fit otherwise.
const WIDE_GAP: usize = 2;
const NARROW_GAP: usize = 1;

/// What the leading figures are called on the screen.
const TITLES: [(&str, MetricSchema, &str); 4] = [
    (startup::NAME, startup::READY, "start-up"),
    (memory::NAME, memory::CHARGE, "memory"),
    (cpu::NAME, cpu::SYSTEM_CALL, "system call"),
    (disk::NAME, disk::SEQ_READ_DIRECT, "disk read"),
];

/// A column of the screen: medians beside their ratios.
struct Drawn {
    title: String,
    texts: Vec<[String; 2]>,
}

impl Drawn {
    fn of(section: &Section<'_>, column: &Column<'_>, rows: &[usize]) -> Self {
        let texts = rows.iter().map(|row| texts(column, &column.cells[*row]));
        Self {
            title: title(section, column),
            texts: texts.collect(),
        }
    }

    /// The widths of medians and of ratios.
    fn widths(&self) -> [usize; 2] {
        [0, 1].map(|index| {
            let texts = self.texts.iter().map(|pair| length(&pair[index]));
            texts.max().unwrap_or_default()
        })
    }

    fn width(&self) -> usize {
        let [median, ratio] = self.widths();
        (median + 1 + ratio).max(length(&self.title))
    }

    /// The text of a row, as wide as the column.
    fn text(&self, row: usize) -> String {
        let [median, ratio] = &self.texts[row];
        let [median_width, ratio_width] = self.widths();
        let text = format!("{median:>median_width$} {ratio:>ratio_width$}");
        format!("{text:>0$}", self.width())
    }
}

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
        .map(|(section, column)| Drawn::of(section, column, &rows));
    let names = rows
        .iter()
        .map(|row| one_line(&summary.run.targets[*row].name, NAME));
    let mut lines = table(&names.collect::<Vec<_>>(), columns.collect(), style, width);
    lines.extend((rest > 0).then(|| format!("and {rest} more in the report")));
    lines.extend(clip(wrap(&legend(summary), FLUSH, width), LEGEND_LINES));
    lines
}

/// The names and, beside them, as many of the first columns as fit.
fn table(names: &[String], columns: Vec<Drawn>, style: Style, width: usize) -> Vec<String> {
    let first = names.iter().map(|name| length(name)).max();
    let first = first.unwrap_or_default();
    let room = width.saturating_sub(first);
    let (columns, gap) = fitting(columns, room);
    let gap = " ".repeat(gap);
    let titles = columns
        .iter()
        .map(|column| format!("{gap}{:>1$}", column.title, column.width()));
    let titles = titles.collect::<String>();
    let mut lines = vec![heading(&format!("{:first$}{titles}", ""), style)];
    lines.extend(names.iter().enumerate().map(|(row, name)| {
        let cells = columns
            .iter()
            .map(|column| format!("{gap}{}", column.text(row)));
        let line = format!("{name:first$}{}", cells.collect::<String>());
        line.trim_end().to_owned()
    }));
    lines
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

/// As many of the first columns as fit beside each other into `room`, and the blanks between two.
/// The columns stand closer together if all of them fit by that.
fn fitting(mut columns: Vec<Drawn>, room: usize) -> (Vec<Drawn>, usize) {
    let widths: Vec<usize> = columns.iter().map(Drawn::width).collect();
    let needed = |gap: usize| widths.iter().map(|width| gap + width).sum::<usize>();
    let gap = if needed(WIDE_GAP) <= room {
        WIDE_GAP
    } else {
        NARROW_GAP
    };
    let mut used = 0;
    let fits = |width: &&usize| {
        used += gap + **width;
        used <= room
    };
    let count = widths.iter().take_while(fits).count();
    columns.truncate(count);
    (columns, gap)
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
fn texts(column: &Column<'_>, cell: &Cell<'_>) -> [String; 2] {
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
fn legend(summary: &Summary<'_>) -> String {
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
