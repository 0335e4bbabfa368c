//! Figures side by side: a bar per target with its interval, a group per metric.

use super::frame::{Row, draw};
use super::theme::ink_of;
use super::{Chart, ChartError, Values, describe, row, shown};
use crate::figures::summary::Column;
use crate::model::Run;
use crate::words::Words;

/// Draws columns of one unit on one axis.
///
/// # Errors
///
/// If the plotting library refuses.
pub fn render(run: &Run, columns: &[&Column<'_>], words: &Words) -> Result<Chart, ChartError> {
    let values = Values::of(columns);
    let mut rows = Vec::new();
    let mut cells = Vec::new();
    for column in columns {
        rows.push(Row::Heading(column.metric.title.clone()));
        cells.push(None);
        for cell in shown(column) {
            rows.push(row(column.metric.unit, cell, words));
            cells.push(Some(cell));
        }
    }
    Chart::draw(&describe(columns, words), |size| {
        let (axis, tick) = (values.axis(size), values.tick());
        draw(size, &rows, axis, &tick, |frame| {
            for (index, cell) in cells.iter().enumerate() {
                let Some((cell, figure)) = cell.and_then(|cell| Some((cell, cell.figure()?)))
                else {
                    continue;
                };
                frame.bar(index, 0.0..figure.median, ink_of(run, cell.target))?;
                if values.exceeded_by(figure.median) {
                    frame.broken(index)?;
                } else if let Some(interval) = figure.interval {
                    frame.interval(index, interval.low..interval.high, None)?;
                }
            }
            Ok(())
        })
    })
}
