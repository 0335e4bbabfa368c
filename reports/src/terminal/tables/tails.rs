//! The far quantiles and the success rates of an experiment.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Attribute, Cell, CellAlignment};

use super::{NAME, TITLE, titled};
use crate::figures::summary::{Column, Section, Summary};
use crate::figures::tails::{self, TargetTail};
use crate::statistics::{Bounds, Tail};
use crate::terminal::{TerminalOptions, fit};
use crate::words::text::one_line;
use crate::words::units;

/// What stands for a figure that there isn't.
const NONE: &str = "–";

/// A table for each metric of the section whose tail the report shows.
pub fn tables(
    summary: &Summary<'_>,
    section: &Section<'_>,
    options: TerminalOptions,
) -> Vec<String> {
    let tables = tails::shown(section).filter_map(|column| {
        let tails = tails::of_column(summary, section, column);
        (!tails.is_empty()).then(|| draw(section, column, &tails, options))
    });
    tables.collect()
}

fn draw(
    section: &Section<'_>,
    column: &Column<'_>,
    tails: &[TargetTail<'_>],
    options: TerminalOptions,
) -> String {
    let mut table = super::table(options);
    table.load_style(UTF8_FULL_CONDENSED);
    let bold = |text: String| Cell::new(text).add_attribute(Attribute::Bold);
    let name = one_line(&section.experiment.name, NAME);
    let header = ["n", "p50", "p95", "p99", "success"].map(str::to_owned);
    table.set_header([name.clone()].into_iter().chain(header).map(bold));
    for tail in tails {
        let target = bold(one_line(&tail.target.name, NAME));
        let cells = texts(column, tail).map(Cell::new);
        table.add_row([target].into_iter().chain(cells));
    }
    for drawn in table.column_iter_mut().skip(1) {
        drawn.set_cell_alignment(CellAlignment::Right);
    }
    let title = one_line(&column.metric.title, TITLE);
    let title = format!("{name}, the slowest: {title}");
    titled(&title, &fit::text(table, options), options)
}

/// The cells behind the target's name. Below a quantile and a rate stands how sure it is.
fn texts(column: &Column<'_>, tail: &TargetTail<'_>) -> [String; 5] {
    let unit = column.metric.unit;
    let figure = column.cells[tail.index].figure();
    let quantile = |tail: Tail| {
        let bounds = match tail.bounds {
            Bounds::Within(interval) => short(&units::interval(unit, interval, tail.value)),
            Bounds::Needs(more) => format!("needs +{more}"),
            Bounds::NeedsRounds => "needs rounds".to_owned(),
        };
        format!("{}\n{bounds}", units::value(unit, tail.value))
    };
    let quantile = |tail: Option<Tail>| tail.map_or_else(|| NONE.to_owned(), quantile);
    let share = units::share(tail.success.share);
    [
        figure.map_or(0, |figure| figure.count).to_string(),
        figure.map_or_else(
            || NONE.to_owned(),
            |figure| units::value(unit, figure.median),
        ),
        quantile(tail.p95),
        quantile(tail.p99),
        match tail.success.interval {
            Some(interval) => format!("{share}\n{}", short(&units::share_interval(interval))),
            None => share,
        },
    ]
}

/// An interval with a dash, so that more columns fit beside each other.
fn short(interval: &str) -> String {
    interval.replace(" to ", "–")
}

/// How to read the tables, if there are any.
pub fn legend(summary: &Summary<'_>) -> Option<String> {
    let mut sections = summary.sections.iter();
    let are_there = sections.any(|section| tails::shown(section).next().is_some());
    are_there.then(|| {
        "below p95 and p99 stands the 95 % interval, or how many samples more it takes; success is \
         the share of samples that didn't fail"
            .to_owned()
    })
}
