//! The comparison as a table for a terminal of 80 columns.

use std::iter;

use comfy_table::presets::{NOTHING, UTF8_FULL_CONDENSED};
use comfy_table::{Attribute, Cell, CellAlignment, Color};

use super::tables::{SAME, table};
use super::{TerminalOptions, fit};
use crate::compare::{Change, Comparison, Pair, Presence, Row};
use crate::statistics::Interval;
use crate::words::text::one_line;
use crate::words::units;

/// Longest name of a target, and longest note, in characters. A hostile file can't make them
/// longer.
const NAME: usize = 18;
const NOTE: usize = 300;

/// Draws a comparison: a table for each metric, whose rows have the change, its 95 % interval and a
/// word for it. What one of the runs lacks stands below.
pub fn render(comparison: &Comparison<'_>, options: TerminalOptions) -> String {
    let of_one = |left: &Row<'_>, right: &Row<'_>| {
        (left.experiment, &left.metric.name) == (right.experiment, &right.metric.name)
    };
    let options = options.with_room();
    let mut blocks = banner(comparison);
    let pairs: Vec<_> = pairs(comparison).collect();
    blocks.extend(
        pairs
            .chunk_by(|(left, _), (right, _)| of_one(left, right))
            .map(|rows| draw(rows, options)),
    );
    blocks.push(notes(comparison, options));
    blocks.join("\n\n") + "\n"
}

/// The figures that both runs have.
fn pairs<'c>(comparison: &'c Comparison<'_>) -> impl Iterator<Item = (&'c Row<'c>, &'c Pair)> {
    let rows = comparison.rows.iter();
    rows.filter_map(|row| Some((row, row.pair()?)))
}

fn draw(rows: &[(&Row<'_>, &Pair)], options: TerminalOptions) -> String {
    let (first, _) = rows[0];
    let name = format!("{} {}", first.experiment, first.metric.name);
    let header = [
        one_line(&name, 2 * NAME),
        "base".to_owned(),
        "new".to_owned(),
        "change".to_owned(),
        "95 %".to_owned(),
        String::new(),
    ];
    let mut table = table(options);
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_header(header.map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    for (row, pair) in rows {
        table.add_row(cells(row, pair));
    }
    for column in table.column_iter_mut().skip(1).take(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    fit::text(table, options)
}

/// What stands above the figures: the conditions that differ.
fn banner(comparison: &Comparison<'_>) -> Vec<String> {
    if comparison.obstacles.is_empty() {
        return Vec::new();
    }
    let title = "NOT THE SAME CONDITIONS: changes may be the host's".to_owned();
    let obstacles = comparison.obstacles.iter();
    let lines = obstacles.map(|obstacle| format!("  {obstacle}"));
    vec![
        iter::once(title)
            .chain(lines)
            .collect::<Vec<_>>()
            .join("\n"),
    ]
}

fn cells(row: &Row<'_>, pair: &Pair) -> Vec<Cell> {
    let unit = row.metric.unit;
    let change = match pair.change {
        Change::Worse => Cell::new("worse").fg(Color::Red),
        Change::Better => Cell::new("better").fg(Color::Green),
        Change::Unclear => Cell::new("unclear").fg(Color::Yellow),
        Change::NoDifference => Cell::new(SAME).add_attribute(Attribute::Dim),
    };
    let percent = pair
        .ratio
        .map(|ratio| format!("{} %", units::percent(ratio - 1.0)));
    let interval = pair.interval.map(|Interval { low, high }| {
        let (low, high) = (units::percent(low - 1.0), units::percent(high - 1.0));
        format!("{low} to {high}")
    });
    vec![
        Cell::new(one_line(row.target, NAME)).add_attribute(Attribute::Bold),
        Cell::new(units::value(unit, pair.base)),
        Cell::new(units::value(unit, pair.new)),
        Cell::new(percent.unwrap_or_default()),
        Cell::new(interval.unwrap_or_default()),
        change,
    ]
}

/// What stands below the tables: the figures that one run lacks, and how to read the tables.
fn notes(comparison: &Comparison<'_>, options: TerminalOptions) -> String {
    let mut lines = Vec::new();
    for row in &comparison.rows {
        let name = format!("{}, {} {}", row.target, row.experiment, row.metric.name);
        match &row.presence {
            Presence::InBoth(_) => {}
            Presence::Lost(reason) => lines.push(("lost", format!("{name}: {reason}"))),
            Presence::OnlyInBase => lines.push(("only in base", name)),
            Presence::OnlyInNew => lines.push(("only in new", name)),
        }
    }
    let count = |change, word: &str| format!("{} {word}", comparison.count(change));
    let counts = [
        count(Change::Better, "better"),
        count(Change::Worse, "worse"),
        count(Change::NoDifference, SAME),
        count(Change::Unclear, "unclear"),
    ];
    lines.push(("in all", counts.join(", ")));
    let threshold = units::percent(comparison.threshold)
        .trim_start_matches('+')
        .to_owned();
    let legend = format!(
        "medians, and the change from base to new in per cent with its 95 % interval; \
         better, worse: the change is {threshold} % or more, and chance doesn't explain it; \
         unclear: there may be such a change"
    );
    lines.push(("how to read", legend));
    let mut table = table(options);
    table.load_style(NOTHING);
    for (subject, note) in lines {
        let subject = Cell::new(subject).add_attribute(Attribute::Bold);
        table.add_row([subject, Cell::new(one_line(&note, NOTE))]);
    }
    for column in table.column_iter_mut().take(1) {
        column.set_padding((0, 1));
    }
    fit::text(table, options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{self, plain};
    use crate::model::{Run, Status};

    fn render(base: &Run, new: &Run) -> String {
        super::render(&Comparison::of(base, new, 0.05), plain(80))
    }

    #[test]
    fn the_table_for_80_columns() {
        let mut base = fixture::run();
        base.experiments.truncate(2);
        base.samples.retain(|sample| sample.experiment != "disk");
        let mut new = base.clone();
        for sample in &mut new.samples {
            if sample.target == "container" {
                sample.value = sample.value.map(|value| value * 1.25);
            }
        }
        let text = render(&base, &new);
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        insta::assert_snapshot!(text);
    }

    #[test]
    fn no_word_is_cut_and_no_line_too_wide_on_any_terminal() {
        let base = fixture::run();
        for width in [0, 1, 20, 30, 40, 50, 60, 79] {
            let text = super::render(&Comparison::of(&base, &base, 0.05), plain(width));
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(
                widest <= Some(usize::from(width.max(20))),
                "{width}\n{text}"
            );
            for word in ["container", "microvm-bare", "startup", "same", "change"] {
                assert!(text.contains(word), "{word} at {width}\n{text}");
            }
        }
    }

    #[test]
    fn what_one_run_lacks_stands_below_the_tables() {
        let base = fixture::run();
        let mut new = base.clone();
        for sample in &mut new.samples {
            if sample.target == "bwrap" && sample.metric == "ready" {
                (sample.status, sample.value) = (Status::Failed, None);
                sample.reason = Some("bwrap: no such file".to_owned());
            }
        }
        let text = render(&base, &new);
        assert!(
            text.contains("bwrap, startup ready: bwrap: no such file"),
            "{text}"
        );
        let mut partial = base.clone();
        partial.experiments.truncate(1);
        partial
            .samples
            .retain(|sample| sample.experiment == "startup");
        assert!(render(&base, &partial).contains("only in base  process, memory overhead"));
        assert!(render(&partial, &base).contains("only in new  process, memory overhead"));
    }

    #[test]
    fn another_host_is_told_first() {
        let base = fixture::run();
        let mut other = base.clone();
        other.host.facts[0].value = "another".to_owned();
        assert!(render(&base, &other).starts_with("NOT THE SAME CONDITIONS"));
    }
}
