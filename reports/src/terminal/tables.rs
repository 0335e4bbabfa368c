//! The figures of a run as tables for a terminal, one for each experiment, with a row per target
//! and a column per metric.

mod explanation;
mod prices;
mod tails;

use std::iter;

use comfy_table::presets::{NOTHING, UTF8_FULL_CONDENSED};
use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, Width,
};

use super::wrap::{Indent, wrap};
use super::{Style, TerminalOptions, fit};
use crate::figures::density;
use crate::figures::prices::lists;
use crate::figures::summary::{self, CellContent, Column, Difference, Section, Summary};
use crate::findings::conduct;
use crate::findings::doubts;
use crate::findings::polled;
use crate::model::{Metric, Run};
use crate::words::text::one_line;
use crate::words::units;
use crate::words::{Language, Words};

/// Longest name of a target, longest title of a metric, and longest reason, in characters. A
/// hostile file can't make them longer.
const NAME: usize = 24;
const TITLE: usize = 60;
const REASON: usize = 300;

/// Longest command line, in characters.
const COMMAND: usize = 1000;

/// The blanks on both sides of a cell, and the line between two cells.
const FRAME: usize = 3;

/// The words beside a ratio that is no difference, and beside a ratio of too few samples.
pub(crate) const SAME: &str = "same";
const TOO_FEW: &str = "?";

/// Draws every figure of a run for a terminal, with the reasons for what is missing below.
///
/// A cell holds the median, half the width of its 95 % interval, and the ratio to the baseline,
/// with a word if the ratio is no difference: `2.31 ms ±4 % 3.1×`, `412 µs ±3 % 1.03× same`. Ratios
/// are to rung 0 of the ladder, or to the target named `baseline`.
pub fn render(run: &Run, baseline: Option<&str>, options: TerminalOptions) -> String {
    let options = options.with_room();
    let summary = Summary::against(run, baseline);
    let stamp = run.stamp().map(|stamp| format!("! {stamp}"));
    let mut blocks: Vec<String> = stamp.into_iter().collect();
    let sections = summary.sections.iter();
    blocks.extend(sections.flat_map(|section| tables(&summary, section, options)));
    blocks.extend(notes(&summary, options));
    blocks.join("\n\n") + "\n"
}

/// A table without lines that fits the terminal.
pub(crate) fn table(options: TerminalOptions) -> Table {
    let mut table = Table::new();
    table
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(options.width)
        .force_no_tty();
    if options.style == Style::Styled {
        table.enforce_styling();
        // Below the table, colours would be left out by the environment's NO_COLOR after all.
        crossterm::style::force_color_output(true);
    }
    table
}

/// The tables of one experiment: as many metrics beside each other as fit, the rest below.
fn tables(summary: &Summary<'_>, section: &Section<'_>, options: TerminalOptions) -> Vec<String> {
    let name = one_line(&section.experiment.name, NAME);
    let lists = lists(summary.run, section.experiment);
    if !lists.is_empty() {
        let of_list = |list| prices::tables(list, options);
        return lists.iter().flat_map(of_list).collect();
    }
    let mut pending = section.columns.as_slice();
    let mut tables: Vec<String> = command(section, options).into_iter().collect();
    while !pending.is_empty() {
        let (shown, rest) = pending.split_at(fitting(pending, &name, options.width));
        tables.push(draw(
            &name,
            |row| summary.has_row(section, row),
            shown,
            options,
        ));
        pending = rest;
    }
    tables.extend(tails::tables(summary, section, options));
    tables.extend(explanation::tables(summary, section, options));
    tables
}

/// The name of a timed command, and its command line.
fn command(section: &Section<'_>, options: TerminalOptions) -> Option<String> {
    let line = section.experiment.command.as_deref()?;
    let name = one_line(&section.experiment.name, NAME);
    let line = format!("{name}: {}", one_line(line, COMMAND));
    let indent = Indent {
        first: "",
        rest: "  ",
    };
    Some(wrap(&line, indent, usize::from(options.width)).join("\n"))
}

/// A block under its title, which may take several lines.
fn titled(title: &str, block: &str, options: TerminalOptions) -> String {
    let indent = Indent {
        first: "",
        rest: "  ",
    };
    let mut lines = wrap(title, indent, usize::from(options.width));
    lines.push(block.to_owned());
    lines.join("\n")
}

/// How many of the first `columns` fit beside each other, at least one.
fn fitting(columns: &[Column<'_>], heading: &str, width: u16) -> usize {
    let names = columns
        .first()
        .into_iter()
        .flat_map(|column| &column.cells)
        .map(|cell| length(&cell.target.name));
    let first = names
        .chain(iter::once(length(heading)))
        .max()
        .unwrap_or_default()
        .min(NAME);
    let mut used = 1 + FRAME + first;
    let fits = |column: &&Column<'_>| {
        used += FRAME + column_width(column);
        used <= usize::from(width)
    };
    columns.iter().take_while(fits).count().max(1)
}

/// The width that a column needs: that of its longest content. Its title may wrap, but the longest
/// word of the title may not.
fn column_width(column: &Column<'_>) -> usize {
    let words = column.metric.title.split(' ').map(length);
    contents(column)
        .iter()
        .map(|content| length(content))
        .chain(words)
        .max()
        .unwrap_or_default()
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn draw(
    heading: &str,
    has_row: impl Fn(usize) -> bool,
    columns: &[Column<'_>],
    options: TerminalOptions,
) -> String {
    let mut table = table(options);
    table.load_style(UTF8_FULL_CONDENSED);
    let titles = columns
        .iter()
        .map(|column| one_line(&column.metric.title, TITLE));
    let header = iter::once(heading.to_owned()).chain(titles);
    table.set_header(header.map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    let contents: Vec<_> = columns.iter().map(contents).collect();
    let rows = columns.first().map_or(0, |column| column.cells.len());
    for row in (0..rows).filter(|row| has_row(*row)) {
        let name = one_line(&columns[0].cells[row].target.name, NAME);
        let name = Cell::new(name).add_attribute(Attribute::Bold);
        let cells = columns
            .iter()
            .zip(&contents)
            .map(|(column, texts)| styled(&column.cells[row], &texts[row]));
        table.add_row(iter::once(name).chain(cells));
    }
    for (drawn, column) in table.column_iter_mut().skip(1).zip(columns) {
        let width = u16::try_from(column_width(column)).unwrap_or(u16::MAX);
        drawn.set_cell_alignment(CellAlignment::Right);
        drawn.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(
            width.saturating_add(2),
        )));
    }
    fit::text(table, options)
}

fn styled(cell: &summary::Cell<'_>, text: &str) -> Cell {
    let drawn = Cell::new(text);
    match cell.content {
        CellContent::Figure(_) => drawn,
        CellContent::Failed => drawn.fg(Color::Red),
        CellContent::Unavailable(_) | CellContent::NotTaken => drawn.add_attribute(Attribute::Dim),
    }
}

/// The texts of a column, in which medians, spreads, ratios and words stand below each other.
fn contents(column: &Column<'_>) -> Vec<String> {
    let pieces: Vec<[String; 4]> = column
        .cells
        .iter()
        .map(|cell| pieces(column.metric, cell))
        .collect();
    let widest = |index: usize| {
        pieces
            .iter()
            .map(|piece| length(&piece[index]))
            .max()
            .unwrap_or_default()
    };
    let widths = [0, 1, 2, 3].map(widest);
    let text = |(cell, pieces): (&summary::Cell<'_>, &[String; 4])| match &cell.content {
        CellContent::Figure(_) => aligned(pieces, widths),
        CellContent::Unavailable(_) => "unavailable".to_owned(),
        CellContent::Failed => "failed".to_owned(),
        CellContent::NotTaken => "–".to_owned(),
    };
    column.cells.iter().zip(&pieces).map(text).collect()
}

/// The pieces beside each other, each as wide as the widest of its kind. A kind that no cell has
/// takes no room.
fn aligned([median, spread, ratio, word]: &[String; 4], widths: [usize; 4]) -> String {
    let mut pieces = vec![
        format!("{median:>0$}", widths[0]),
        format!("{spread:>0$}", widths[1]),
    ];
    if widths[2] > 0 {
        pieces.push(format!("{ratio:>0$}", widths[2]));
    }
    if widths[3] > 0 {
        pieces.push(format!("{word:<0$}", widths[3]));
    }
    pieces.join(" ")
}

/// The median, the spread and the ratio of a figure, and the word beside the ratio.
fn pieces(metric: &Metric, cell: &summary::Cell<'_>) -> [String; 4] {
    let Some(figure) = cell.figure() else {
        return Default::default();
    };
    let spread = figure
        .interval
        .and_then(|interval| units::spread(interval, figure.median));
    let ratio = figure.ratio.map(|ratio| units::ratio(ratio.value));
    let word = figure.ratio.map(|ratio| match ratio.test.difference {
        Difference::NoDifference => SAME,
        Difference::TooFewSamples => TOO_FEW,
        Difference::Better | Difference::Worse => "",
    });
    [
        units::value(metric.unit, figure.median),
        spread.unwrap_or_default(),
        ratio.unwrap_or_default(),
        word.unwrap_or_default().to_owned(),
    ]
}

/// What should be known beside the figures.
fn notes(summary: &Summary<'_>, options: TerminalOptions) -> Vec<String> {
    let mut notes = Vec::new();
    if summary.run.partial {
        notes.push((
            "partial".to_owned(),
            "the run was interrupted; its figures are of the samples up to then".to_owned(),
        ));
    }
    for target in &summary.run.targets {
        if let Some(unavailable) = &target.unavailable {
            notes.push((
                target.name.clone(),
                format!("unavailable: {}; {}", unavailable.reason, unavailable.fix),
            ));
        }
    }
    notes.extend(
        summary
            .gaps()
            .into_iter()
            .map(|gap| (gap.target.to_owned(), gap.to_string())),
    );
    let words = Words::of(Language::English);
    notes.extend(
        doubts::of(summary)
            .iter()
            .map(|doubt| ("doubt".to_owned(), doubt.tell(&words))),
    );
    notes.extend(
        conduct::notes(summary)
            .into_iter()
            .map(|(subject, note)| (subject.to_owned(), note)),
    );
    notes.extend(
        summary
            .run
            .warnings
            .iter()
            .map(|warning| ("warning".to_owned(), warning.clone())),
    );
    notes.extend(how_to_read(summary, &words));
    let mut table = table(options);
    table.load_style(NOTHING);
    for (subject, note) in notes {
        let subject = Cell::new(one_line(&subject, NAME)).add_attribute(Attribute::Bold);
        table.add_row([subject, Cell::new(one_line(&note, REASON))]);
    }
    for column in table.column_iter_mut().take(1) {
        column.set_padding((0, 1));
    }
    vec![fit::text(table, options)]
}

/// How to read the tables, each note with its subject.
fn how_to_read(summary: &Summary<'_>, words: &Words) -> Vec<(String, String)> {
    let mut notes = vec![("how to read".to_owned(), legend(summary))];
    notes.extend(tails::legend(summary).map(|note| ("the slowest".to_owned(), note)));
    notes.extend(explanation::legend(summary).map(|note| ("predicted".to_owned(), note)));
    let sections = summary.sections.iter();
    notes.extend(sections.flat_map(|section| {
        let name = &section.experiment.name;
        let polled = polled::notes(section, words).into_iter();
        polled.map(|note| (name.clone(), note))
    }));
    let experiments = summary.run.experiments.iter();
    for list in experiments.flat_map(|experiment| lists(summary.run, experiment)) {
        notes.push(("prices".to_owned(), prices::note(&list)));
    }
    let fits = summary.sections.iter();
    let fits = fits.filter_map(|section| density::note(summary, section));
    notes.extend(fits.map(|note| ("would fit".to_owned(), note)));
    notes
}

fn legend(summary: &Summary<'_>) -> String {
    let ratio = summary
        .baseline
        .map(|baseline| format!(", ratio to {}", baseline.name))
        .unwrap_or_default();
    let mut text = format!("median, half the width of its 95 % interval{ratio}");
    if summary.is_thin() {
        text += "; below 6 samples that interval is too narrow";
    }
    if summary.says(Difference::NoDifference) {
        text += "; same: chance explains the difference, or the difference is below 2 % or the noise floor";
    }
    if summary.says(Difference::TooFewSamples) {
        text += "; ?: too few samples to tell a difference from chance";
    }
    text
}

#[cfg(test)]
mod tests;
