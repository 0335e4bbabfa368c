//! Tables on terminals that are too narrow for them.

use std::iter;

use comfy_table::{ColumnConstraint, Row, Table, Width};

use super::screen::heading;
use super::wrap::{Indent, length, wrap};
use super::{Style, TerminalOptions};

/// In front of what stands below the name of a row.
const BELOW: Indent<'_> = Indent {
    first: "  ",
    rest: "    ",
};

/// In front of a name.
const NAME: Indent<'_> = Indent {
    first: "",
    rest: " ",
};

/// Longest word that isn't cut, in characters. Paths may be longer.
const WORD: usize = 24;

/// The text of a table. If the terminal is too narrow for the words of all columns beside each
/// other, each row becomes a block of lines instead: a table would cut words and numbers apart.
pub fn text(mut table: Table, options: TerminalOptions) -> String {
    let room = usize::from(options.width);
    let frames = table
        .column_iter()
        .map(|column| usize::from(column.padding_width()) + 1);
    let frame = frames.sum::<usize>() + 1;
    let needed = |widths: &[usize]| widths.iter().sum::<usize>() + frame;
    let header = || table.header().into_iter();
    let lines = |text: &str| text.lines().map(length).max();
    let whole = longest(header().chain(table.row_iter()), lines);
    let words = |text: &str| text.split_whitespace().map(length).max();
    let mut widths = longest(header().chain(table.row_iter()), words);
    for width in &mut widths {
        *width = (*width).min(WORD);
    }
    if needed(&widths) > room {
        return blocks(&table, options);
    }
    if needed(&whole) > room && table.header().is_some() {
        let figures = longest(table.row_iter(), lines);
        // Titles are broken sooner than names and figures.
        let mut spare = room - needed(&widths);
        for wanted in [figures, whole] {
            for (width, wanted) in widths.iter_mut().zip(wanted) {
                let more = wanted.saturating_sub(*width).min(spare);
                *width += more;
                spare -= more;
            }
        }
        for (column, width) in table.column_iter_mut().zip(widths) {
            let width = u16::try_from(width).unwrap_or(u16::MAX);
            let width = width.saturating_add(column.padding_width());
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
        }
    }
    table.trim_fmt()
}

/// The longest piece of each column, where `of` gives the longest of a text.
fn longest<'t>(
    rows: impl Iterator<Item = &'t Row>,
    of: impl Fn(&str) -> Option<usize>,
) -> Vec<usize> {
    let mut longest = Vec::new();
    for row in rows {
        for (column, cell) in row.cell_iter().enumerate() {
            let own = of(&cell.content()).unwrap_or_default();
            match longest.get_mut(column) {
                Some(known) => *known = own.max(*known),
                None => longest.push(own),
            }
        }
    }
    longest
}

/// The rows of a table as blocks of lines: the first cell, and below it each other with its title.
fn blocks(table: &Table, options: TerminalOptions) -> String {
    let titles = table.header().map(texts).unwrap_or_default();
    let width = usize::from(options.width);
    let name = |text: &str, style| {
        wrap(text, NAME, width)
            .into_iter()
            .map(move |line| heading(&line, style))
    };
    let mut lines: Vec<String> = Vec::new();
    if let Some(title) = titles.first() {
        lines.extend(name(title, options.style));
    }
    for row in table.row_iter() {
        let cells = texts(row);
        let Some((first, others)) = cells.split_first() else {
            continue;
        };
        let style = if titles.is_empty() {
            options.style
        } else {
            Style::Plain
        };
        lines.extend(name(first, style));
        let titles = titles.iter().skip(1).map(String::as_str);
        for (title, text) in titles.chain(iter::repeat("")).zip(others) {
            if text.is_empty() {
                continue;
            }
            let line = if title.is_empty() {
                text.clone()
            } else {
                format!("{title}: {text}")
            };
            lines.extend(wrap(&line, BELOW, width));
        }
    }
    lines.join("\n")
}

/// The texts of a row's cells, without the blanks that align them.
fn texts(row: &Row) -> Vec<String> {
    let text = |content: String| content.split_whitespace().collect::<Vec<_>>().join(" ");
    row.cell_iter().map(|cell| text(cell.content())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::plain;
    use crate::terminal::tables::table;

    #[test]
    fn no_word_of_a_table_is_cut_however_narrow_the_terminal_is() {
        let drawn = |width| {
            let mut table = table(plain(width));
            table.set_header(["startup ready", "base", ""]);
            table.add_row(["container", "2.40 ms   ±6 %", "unclear"]);
            table.add_row(["process", "", "same"]);
            text(table, plain(width))
        };
        assert!(
            drawn(60).contains("| 2.40 ms   ±6 % | unclear |"),
            "{}",
            drawn(60)
        );
        let expected = "startup ready\ncontainer\n  base: 2.40 ms ±6 %\n  unclear\nprocess\n  same";
        assert_eq!(drawn(20), expected);
    }

    #[test]
    fn titles_are_broken_sooner_than_names() {
        let mut table = table(plain(44));
        table.set_header(["container", "Spawn to ready, µs", "Processor time, µs"]);
        table.add_row(["+ cgroup-namespace", "12 ±3", "4 ±1"]);
        let text = text(table, plain(44));
        assert!(text.contains("| + cgroup-namespace |"), "{text}");
        assert!(text.lines().all(|line| length(line) <= 44), "{text}");
    }
}
