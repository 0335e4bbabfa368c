//! Every sample of a metric: a strip of dots per target, with the median and its interval.

use super::axis::Axis;
use super::frame::{Row, draw};
use super::theme::ink_of;
use super::{Chart, ChartError, Values, describe, row, shown};
use crate::figures::summary::{Cell, Column};
use crate::model::Run;
use crate::statistics::quantile;
use crate::words::Words;
use crate::words::units;

/// The most dots of a strip; more dots would only hide each other.
pub const DOTS: usize = 1000;

/// Draws the good samples of a column on a logarithmic axis; nothing if no sample is above zero.
///
/// # Errors
///
/// If the plotting library refuses.
pub fn render(run: &Run, column: &Column<'_>, words: &Words) -> Result<Option<Chart>, ChartError> {
    let cells = shown(column);
    let strips: Vec<Vec<f64>> = cells.iter().map(|cell| strip(cell)).collect();
    let values = Values::of(&[column]);
    let drawn: Vec<bool> = cells.iter().map(|cell| !beyond(cell, &values)).collect();
    let near = || {
        strips
            .iter()
            .zip(&drawn)
            .filter(|(_, drawn)| **drawn)
            .flat_map(|(strip, _)| strip.iter().copied())
    };
    let positive = || near().filter(|value| *value > 0.0);
    let (Some(lowest), Some(highest)) = (positive().reduce(f64::min), positive().reduce(f64::max))
    else {
        return Ok(None);
    };
    let unit = column.metric.unit;
    let rows: Vec<Row> = cells.iter().map(|cell| row(unit, cell, words)).collect();
    let tick = |value: &f64| units::tick(unit, *value);
    let chart = Chart::draw(&describe(&[column], words), |size| {
        draw(
            size,
            &rows,
            Axis::logarithmic(unit, lowest, highest, size.ticks()),
            &tick,
            |frame| {
                for (index, (cell, strip)) in cells.iter().zip(&strips).enumerate() {
                    let Some(figure) = cell.figure() else {
                        continue;
                    };
                    if !drawn[index] {
                        frame.note(index, words.text("chart.beyond"))?;
                        continue;
                    }
                    frame.dots(
                        index,
                        strip.iter().copied().filter(|value| *value > 0.0),
                        ink_of(run, cell.target),
                    )?;
                    if let Some(interval) = figure.interval.filter(|interval| interval.low > 0.0) {
                        frame.interval(index, interval.low..interval.high, Some(figure.median))?;
                    }
                }
                Ok(())
            },
        )
    })?;
    Ok(Some(chart))
}

/// Whether a target is so much slower than the ladder that all other targets would be squeezed
/// together on an axis with it.
fn beyond(cell: &Cell<'_>, values: &Values) -> bool {
    cell.figure()
        .is_some_and(|figure| values.exceeded_by(figure.median))
}

/// The samples to draw: all of them, or [`DOTS`] of them, evenly spaced in their order, if there
/// are more.
fn strip(cell: &Cell<'_>) -> Vec<f64> {
    let mut values: Vec<f64> = cell
        .figure()
        .into_iter()
        .flat_map(|figure| figure.series.values())
        .collect();
    if values.len() > DOTS {
        values.sort_by(f64::total_cmp);
        values = (0..DOTS)
            .filter_map(|index| quantile(&values, index * 1000 / (DOTS - 1)))
            .collect();
    }
    values
}
