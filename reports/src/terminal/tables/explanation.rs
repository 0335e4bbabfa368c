//! Why the targets of a timed command differ: a table, and what the command does.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Attribute, Cell, CellAlignment};

use super::NAME;
use crate::figures::explanation::{Counted, Explanation, all};
use crate::figures::summary::{Section, Summary};
use crate::terminal::TerminalOptions;
use crate::terminal::explanation::{TITLES, texts};
use crate::terminal::wrap::{Indent, wrap};
use crate::words::text::one_line;
use crate::words::units;

/// The most parts of a count that are named.
const NAMED: usize = 10;

const INDENT: Indent<'_> = Indent {
    first: "  ",
    rest: "    ",
};

/// The table of a section, and what its command does; nothing if the run doesn't explain it.
pub fn tables(
    summary: &Summary<'_>,
    section: &Section<'_>,
    options: TerminalOptions,
) -> Vec<String> {
    let Some(explanation) = Explanation::of(summary, section) else {
        return Vec::new();
    };
    let name = one_line(&section.experiment.name, NAME);
    let table = (!explanation.targets.is_empty()).then(|| draw(&name, &explanation, options));
    table
        .into_iter()
        .chain([work(&name, &explanation, options)])
        .collect()
}

fn draw(name: &str, explanation: &Explanation<'_>, options: TerminalOptions) -> String {
    let mut table = super::table(options);
    table.load_style(UTF8_FULL_CONDENSED);
    let bold = |text: String| Cell::new(text).add_attribute(Attribute::Bold);
    let header = TITLES.map(str::to_owned);
    table.set_header([name.to_owned()].into_iter().chain(header).map(bold));
    for target in &explanation.targets {
        let name = bold(one_line(&target.target.name, NAME));
        table.add_row([name].into_iter().chain(texts(target).map(Cell::new)));
    }
    for drawn in table.column_iter_mut().skip(1) {
        drawn.set_cell_alignment(CellAlignment::Right);
        drawn.set_padding((0, 1));
    }
    let base = one_line(&explanation.base.name, NAME);
    format!(
        "{name}, why the targets differ from {base}\n{}",
        table.trim_fmt()
    )
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
    [title]
        .into_iter()
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
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
    let start = if explanation.is_to_the_end {
        "start and end"
    } else {
        "start"
    };
    Some(format!(
        "predicted is what an ordinary program's {start} takes longer, and the command's calls and \
         minor faults times what the cheapest of each costs more; exits are in these prices"
    ))
}
