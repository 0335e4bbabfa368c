//! Price lists as tables for a terminal. All rows of a list are in one unit, so that they can be
//! compared and added up.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Attribute, Cell, CellAlignment, ColumnConstraint, Width};

use super::{FRAME, NAME, TITLE, TerminalOptions, length, table};
use crate::figures::prices::{Price, PriceList, RowKind};
use crate::model::Metric;
use crate::terminal::fit;
use crate::words::text::one_line;
use crate::words::units::Scale;

/// The tables of one list: as many metrics beside each other as fit, the rest below.
pub fn tables(list: &PriceList<'_>, options: TerminalOptions) -> Vec<String> {
    let names: Vec<String> = list.rows.iter().map(name).collect();
    let heading = one_line(&list.target.name, NAME);
    let first = names.iter().map(|name| length(name));
    let first = first.chain([length(&heading)]).max().unwrap_or_default();
    let columns: Vec<Column> = list
        .metrics
        .iter()
        .enumerate()
        .map(|(place, metric)| Column::of(list, place, metric))
        .collect();
    let mut pending = columns.as_slice();
    let mut tables = Vec::new();
    while !pending.is_empty() {
        let mut used = 1 + FRAME + first;
        let fits = |column: &&Column| {
            used += FRAME + column.width();
            used <= usize::from(options.width)
        };
        let count = pending.iter().take_while(fits).count().max(1);
        let (shown, rest) = pending.split_at(count);
        tables.push(draw(&heading, list, &names, shown, options));
        pending = rest;
    }
    tables
}

/// A sentence that says to which parts the prices of a list are added.
pub fn note(list: &PriceList<'_>) -> String {
    let start = list.rows.iter().find(|row| row.kind == RowKind::Start);
    let start = start.map_or("", |row| row.name);
    let others = list.rows.iter().filter_map(|row| {
        let base = row.base.filter(|base| *base != start)?;
        Some(format!("{} to {base}", row.name))
    });
    let others: Vec<String> = others.collect();
    let but = if others.is_empty() {
        String::new()
    } else {
        format!(", but {}", others.join(", "))
    };
    format!(
        "+ is what a part adds to {start}{but}; interaction is what all parts cost beyond their sum"
    )
}

fn name(row: &Price<'_>) -> String {
    let name = one_line(row.name, NAME);
    match row.kind {
        RowKind::Price | RowKind::Extra => format!("+ {name}"),
        RowKind::Start | RowKind::Interaction | RowKind::Whole => name,
    }
}

/// A whole number of units. One more digit would be noise beside the whole of the list.
fn whole(scale: Scale, value: f64) -> String {
    // This makes a negative zero positive.
    let number = (value / scale.divisor).round() + 0.0;
    format!("{number:.0}")
}

/// One metric of a list.
struct Column {
    title: String,
    texts: Vec<String>,
}

impl Column {
    fn of(list: &PriceList<'_>, place: usize, metric: &Metric) -> Self {
        let costs: Vec<_> = list.rows.iter().map(|row| row.costs[place]).collect();
        let values = costs.iter().flatten().map(|cost| cost.value.abs());
        let largest = values.fold(0.0, f64::max);
        // The whole costs some twenty times as much as a cheap part, and the unit has to suit that
        // part.
        let scale = Scale::of(metric.unit, largest / 20.0);
        let pieces: Vec<[String; 2]> = costs
            .iter()
            .map(|cost| {
                let value = cost.map_or("–".to_owned(), |cost| whole(scale, cost.value));
                let interval = cost.and_then(|cost| cost.interval);
                let half = interval.map(|interval| (interval.high - interval.low) / 2.0);
                [
                    value,
                    half.map_or(String::new(), |half| format!("±{}", whole(scale, half))),
                ]
            })
            .collect();
        let widest = |index: usize| pieces.iter().map(|piece| length(&piece[index])).max();
        let [value, half] = [0, 1].map(|index| widest(index).unwrap_or_default());
        let text =
            |[own_value, own_half]: &[String; 2]| format!("{own_value:>value$} {own_half:>half$}");
        Self {
            title: format!("{}, {}", one_line(&metric.title, TITLE), scale.symbol),
            texts: pieces.iter().map(text).collect(),
        }
    }

    /// The width of the longest content. The title may wrap, but its longest word may not.
    fn width(&self) -> usize {
        let texts = self.texts.iter().map(|text| length(text));
        let words = self.title.split(' ').map(length);
        texts.chain(words).max().unwrap_or_default()
    }
}

fn draw(
    heading: &str,
    list: &PriceList<'_>,
    names: &[String],
    columns: &[Column],
    options: TerminalOptions,
) -> String {
    let mut table = table(options);
    table.load_style(UTF8_FULL_CONDENSED);
    let titles = columns.iter().map(|column| column.title.as_str());
    let header = [heading].into_iter().chain(titles);
    table.set_header(header.map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    for (place, (row, name)) in list.rows.iter().zip(names).enumerate() {
        let name = Cell::new(name);
        let name = if row.kind.is_difference() {
            name
        } else {
            name.add_attribute(Attribute::Bold)
        };
        let texts = columns.iter().map(|column| Cell::new(&column.texts[place]));
        table.add_row([name].into_iter().chain(texts));
    }
    for (drawn, column) in table.column_iter_mut().skip(1).zip(columns) {
        let width = u16::try_from(column.width()).unwrap_or(u16::MAX);
        drawn.set_cell_alignment(CellAlignment::Right);
        drawn.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(
            width.saturating_add(2),
        )));
    }
    fit::text(table, options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{self, plain};
    use crate::terminal::tables::render;

    fn drawn(width: u16) -> String {
        render(&fixture::with_prices(), None, plain(width))
    }

    #[test]
    fn a_price_list_for_80_columns() {
        let text = drawn(80);
        let from = text
            .find("none")
            .and_then(|at| text[..at].rfind('┌'))
            .unwrap();
        insta::assert_snapshot!(&text[from..]);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [40, 60, 80, 120] {
            let widest = drawn(width).lines().map(length).max().unwrap();
            assert!(widest <= usize::from(width), "{widest} of {width}");
        }
    }
}
