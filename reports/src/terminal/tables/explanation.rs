//! Why the targets of a timed command differ: a table, and what the command does.

use std::ops::Range;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Attribute, Cell, CellAlignment};

use super::{FRAME, NAME, length, titled};
use crate::figures::explanation::{Counted, Explanation, all};
use crate::figures::summary::{Section, Summary};
use crate::terminal::explanation::{TITLES, texts};
use crate::terminal::wrap::{Indent, wrap};
use crate::terminal::{TerminalOptions, fit};
use crate::words::text::one_line;
use crate::words::units;

/// The most parts of a count that are named.
const NAMED: usize = 10;

const INDENT: Indent<'_> = Indent {
    first: "  ",
    rest: "    ",
};

/// The name of a target, and its texts.
type Row = (String, [String; TITLES.len()]);

/// The tables of a section, and what its command does; nothing if the run doesn't explain it.
pub fn tables(
    summary: &Summary<'_>,
    section: &Section<'_>,
    options: TerminalOptions,
) -> Vec<String> {
    let Some(explanation) = Explanation::of(summary, section) else {
        return Vec::new();
    };
    let name = one_line(&section.experiment.name, NAME);
    let rows = explanation.targets.iter();
    let rows = rows.map(|target| (one_line(&target.target.name, NAME), texts(target)));
    let rows: Vec<Row> = rows.collect();
    let names = rows.iter().map(|(name, _)| length(name));
    let first = names.chain([length(&name)]).max().unwrap_or_default();
    let places = abreast(
        &rows,
        usize::from(options.width).saturating_sub(first + FRAME + 1),
    );
    let mut tables: Vec<String> = places
        .into_iter()
        .filter(|_| !rows.is_empty())
        .map(|places| draw(&name, &rows, places, options))
        .collect();
    if let Some(first) = tables.first_mut() {
        let base = one_line(&explanation.base.name, NAME);
        let title = format!("{name}, why the targets differ from {base}");
        *first = titled(&title, first, options);
    }
    tables.push(work(&name, &explanation, options));
    tables
}

/// The columns that stand beside each other, for each table that has `room` for columns.
fn abreast(rows: &[Row], room: usize) -> Vec<Range<usize>> {
    let width = |place: usize| {
        let texts = rows.iter().map(|(_, texts)| length(&texts[place]));
        1 + texts
            .chain([length(TITLES[place])])
            .max()
            .unwrap_or_default()
    };
    let mut tables = Vec::new();
    let (mut begin, mut used) = (0, 0);
    for place in 0..TITLES.len() {
        if place > begin && used + width(place) > room {
            tables.push(begin..place);
            (begin, used) = (place, 0);
        }
        used += width(place);
    }
    tables.push(begin..TITLES.len());
    tables
}

/// A table of some of the columns.
fn draw(name: &str, rows: &[Row], places: Range<usize>, options: TerminalOptions) -> String {
    let mut table = super::table(options);
    table.load_style(UTF8_FULL_CONDENSED);
    let bold = |text: &str| Cell::new(text).add_attribute(Attribute::Bold);
    let titles = TITLES[places.clone()].iter().copied();
    table.set_header([name].into_iter().chain(titles).map(bold));
    for (name, texts) in rows {
        let texts = texts[places.clone()].iter().map(Cell::new);
        table.add_row([bold(name)].into_iter().chain(texts));
    }
    for drawn in table.column_iter_mut().skip(1) {
        drawn.set_cell_alignment(CellAlignment::Right);
        drawn.set_padding((0, 0));
    }
    fit::text(table, options)
}

/// What the command does as a bare process, a count a line.
fn work(name: &str, explanation: &Explanation<'_>, options: TerminalOptions) -> String {
    let work = &explanation.work;
    let counts = [&work.calls, &work.faults, &work.tasks, &work.traffic];
    let width = usize::from(options.width);
    let lines = counts.into_iter().flatten();
    let lines = lines.flat_map(|counted| wrap(&count(counted), INDENT, width));
    let base = one_line(&explanation.base.name, NAME);
    let title = format!("{name}, what the command does in {base}");
    titled(&title, &lines.collect::<Vec<_>>().join("\n"), options)
}

fn count(counted: &Counted<'_>) -> String {
    let unit = counted.metric.unit;
    let (named, others) = counted.largest(NAMED);
    let named = named.iter();
    let named = named.map(|(name, count)| {
        let name = one_line(name, NAME);
        format!("{name} {}", units::value(unit, *count))
    });
    let others = (others > 0.0).then(|| format!("{} others", units::value(unit, others)));
    let parts: Vec<String> = named.chain(others).collect();
    let title = one_line(&counted.metric.title, super::TITLE);
    let total = units::value(unit, counted.total);
    format!("{title} {total}: {}", parts.join(", "))
}

/// How to read the tables, if there are any.
pub fn legend(summary: &Summary<'_>) -> Option<String> {
    let (_, explanation) = all(summary).next()?;
    let count = explanation.price_samples;
    let start = if explanation.is_to_the_end {
        "start and end"
    } else {
        "start"
    };
    Some(format!(
        "predicted is what an ordinary program's {start} takes longer, and the command's calls and \
         minor faults times what the cheapest of each costs more, by at least {count} samples; few \
         samples leave these prices unsure; VM exits are in the prices and in the start"
    ))
}
