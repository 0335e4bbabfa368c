//! Wholes cut into parts: a stacked bar per target.

use super::frame::{Row, draw};
use super::theme::Ink;
use super::{Chart, ChartError, Values, describe, row, shown};
use crate::summary::{Cell, Column};

/// The names of a column's parts: in the metric's order, then whatever else samples have.
pub fn part_names<'a>(column: &Column<'a>) -> Vec<&'a str> {
    let measured: Vec<&str> = column
        .cells
        .iter()
        .filter_map(Cell::figure)
        .flat_map(|figure| figure.parts.iter().map(|part| part.name))
        .collect();
    let declared = column.metric.parts.iter().map(|part| part.name.as_str());
    let mut names: Vec<&str> = declared.filter(|name| measured.contains(name)).collect();
    for name in measured {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Draws a column's figures as bars made of their parts.
///
/// # Errors
///
/// When the plotting library refuses.
pub fn render(column: &Column<'_>) -> Result<Chart, ChartError> {
    let cells = shown(column);
    let values = Values::of(&[column]);
    let names = part_names(column);
    let rows: Vec<Row> = cells
        .iter()
        .map(|cell| row(column.metric.unit, cell))
        .collect();
    Chart::draw(&describe(&[column]), |size| {
        let (axis, tick) = (values.axis(size), values.tick());
        draw(size, &rows, axis, &tick, |frame| {
            for (index, cell) in cells.iter().enumerate() {
                let Some(figure) = cell.figure() else {
                    continue;
                };
                let mut start = 0.0;
                for part in figure.parts.iter().filter(|part| part.typical > 0.0) {
                    let piece = start..start + part.typical;
                    let place = names
                        .iter()
                        .position(|name| *name == part.name)
                        .unwrap_or_default();
                    frame.bar(index, piece.clone(), Ink::of_part(place))?;
                    frame.write_into(index, piece.clone(), part.name)?;
                    start = piece.end;
                }
                if figure.parts.is_empty() {
                    frame.bar(index, 0.0..figure.median, Ink::Plain)?;
                }
                if values.exceeded_by(figure.median) {
                    frame.broken(index)?;
                }
            }
            Ok(())
        })
    })
}
