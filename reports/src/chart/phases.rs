//! Wholes divided into parts: for each target its parts in a row, on one axis.
//!
//! On the linear axis lengths can be compared, and a target far slower than the ladder has a broken
//! bar. The logarithmic axis holds all bars whole, from microseconds to seconds; a length there is
//! a factor.

use std::ops::Range;

use super::axis::Axis;
use super::frame::{Frame, Row, draw};
use super::theme::Ink;
use super::{Chart, ChartError, Size, Values, describe, row, shown};
use crate::figures::summary::{Cell, Column, Figure};
use crate::model::Unit;
use crate::words::Words;
use crate::words::units;

/// The names of a column's parts: first those of the metric in its order, then others that samples
/// have.
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

/// Draws a column's figures as bars made of their parts, on a linear axis.
///
/// # Errors
///
/// If the plotting library refuses.
pub fn render(column: &Column<'_>, words: &Words) -> Result<Chart, ChartError> {
    let values = Values::of(&[column]);
    let tick = values.tick();
    stack(
        column,
        words,
        &tick,
        |size| values.axis(size),
        |figure| values.exceeded_by(figure.median),
    )
}

/// Draws a column's figures as bars made of their parts, on a logarithmic axis; nothing if no
/// figure is above zero.
///
/// # Errors
///
/// If the plotting library refuses.
pub fn render_logarithmic(column: &Column<'_>, words: &Words) -> Result<Option<Chart>, ChartError> {
    let Some(range) = extent(column) else {
        return Ok(None);
    };
    let tick = |value: &f64| units::tick(column.metric.unit, *value);
    let axis =
        |size: Size| Axis::logarithmic(column.metric.unit, range.start, range.end, size.ticks());
    stack(column, words, &tick, axis, |_| false).map(Some)
}

/// From the end of the shortest first part to the longest whole. A part before that has no length
/// on a logarithmic axis.
fn extent(column: &Column<'_>) -> Option<Range<f64>> {
    /// The smallest part of the longest whole at which the axis begins.
    const LEAST: f64 = 1e-5;
    let figures = || column.cells.iter().filter_map(Cell::figure);
    let longest = figures().map(|figure| figure.median).reduce(f64::max)?;
    let first = |figure: &Figure<'_>| {
        let mut parts = figure.parts.iter().map(|part| part.typical);
        parts.find(|part| *part > 0.0).unwrap_or(figure.median)
    };
    let ends = figures().map(first).filter(|end| *end > 0.0);
    let shortest = ends.reduce(f64::min)?;
    (longest > 0.0).then(|| (shortest * 0.7).max(longest * LEAST)..longest)
}

fn stack(
    column: &Column<'_>,
    words: &Words,
    tick: &dyn Fn(&f64) -> String,
    axis: impl Fn(Size) -> Axis,
    is_broken: impl Fn(&Figure<'_>) -> bool,
) -> Result<Chart, ChartError> {
    let cells = shown(column);
    let unit = column.metric.unit;
    let names = part_names(column);
    let rows: Vec<Row> = cells.iter().map(|cell| row(unit, cell, words)).collect();
    Chart::draw(&describe(&[column], words), |size| {
        draw(size, &rows, axis(size), tick, |frame| {
            for (index, cell) in cells.iter().enumerate() {
                let Some(figure) = cell.figure() else {
                    continue;
                };
                bar(frame, index, unit, figure, &names)?;
                if is_broken(figure) {
                    frame.broken(index)?;
                }
            }
            Ok(())
        })
    })
}

/// The parts of one target, each with its name if there is room, and with a tooltip that explains
/// it.
fn bar(
    frame: &mut Frame<'_>,
    row: usize,
    unit: Unit,
    figure: &Figure<'_>,
    names: &[&str],
) -> Result<(), ChartError> {
    if figure.parts.is_empty() {
        return frame.bar(row, 0.0..figure.median, Ink::Plain);
    }
    let mut start = 0.0;
    for part in figure.parts.iter().filter(|part| part.typical > 0.0) {
        let piece = start..start + part.typical;
        let place = names.iter().position(|name| *name == part.name);
        frame.bar(row, piece.clone(), Ink::of_part(place.unwrap_or_default()))?;
        frame.write_into(row, piece.clone(), part.name)?;
        let share = units::part(part.typical / figure.median);
        let value = units::value(unit, part.typical);
        let text = format!("{}: {} ({value}, {share})", part.name, part.explanation);
        frame.tooltip(row, piece.clone(), &text);
        start = piece.end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::summary::Summary;
    use crate::fixture;
    use crate::words::Language;

    #[test]
    fn the_logarithmic_axis_holds_every_target_whole_and_parts_explain_themselves() {
        let run = fixture::run();
        let summary = Summary::of(&run);
        let column = &summary.sections[0].columns[0];
        let words = Words::of(Language::English);
        let range = extent(column).unwrap();
        // From within the process's first phase to docker's whole start.
        assert!(range.start < 0.28e6 && range.end > 300e6, "{range:?}");
        let logarithmic = render_logarithmic(column, &words).unwrap().unwrap();
        let breaks = |chart: &Chart| chart.wide.matches("stroke-width=\"3\"").count();
        assert_eq!(
            (
                breaks(&render(column, &words).unwrap()),
                breaks(&logarithmic)
            ),
            (2, 0)
        );
        for chart in [&logarithmic.wide, &logarithmic.narrow] {
            assert!(
                chart.contains("<title>clone: one clone3 with seven namespaces ("),
                "{chart}"
            );
        }
    }
}
