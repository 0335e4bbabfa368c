//! How far the tail reaches: a bar from the median to the 95th percentile, and a line on to the
//! 99th, a group per metric.

use super::axis::Axis;
use super::frame::{Row, Value, draw};
use super::theme::{Ink, ink_of};
use super::{Chart, ChartError};
use crate::figures::summary::Column;
use crate::figures::tails::TargetTail;
use crate::model::{Run, Unit};
use crate::words::Words;
use crate::words::units;

/// The bar of one target in one metric, in nanoseconds.
struct Bar {
    name: String,
    ink: Ink,
    p50: f64,
    p95: f64,
    p99: f64,
}

impl Bar {
    /// The bar of a tail; nothing if no sample counts, or if a logarithmic axis has no place for
    /// the median.
    fn of(run: &Run, column: &Column<'_>, tail: &TargetTail<'_>) -> Option<Self> {
        let figure = column.cells[tail.index].figure()?;
        (figure.median > 0.0).then_some(Self {
            name: tail.target.name.clone(),
            ink: ink_of(run, tail.target),
            p50: figure.median,
            p95: tail.p95?.value,
            p99: tail.p99?.value,
        })
    }

    fn tell(&self, words: &Words) -> String {
        let text = |value| units::value(Unit::Nanoseconds, value);
        words.say(
            "tails.tooltip",
            &[
                ("p50", &text(self.p50)),
                ("p95", &text(self.p95)),
                ("p99", &text(self.p99)),
            ],
        )
    }

    fn row(&self) -> Row {
        Row::Target {
            label: self.name.clone(),
            value: Value::Figure(units::value(Unit::Nanoseconds, self.p99)),
        }
    }
}

/// Draws the tails of times, each metric with its title; nothing if there is no tail to draw.
///
/// # Errors
///
/// If the plotting library refuses.
pub fn render(
    run: &Run,
    columns: &[(&Column<'_>, Vec<TargetTail<'_>>)],
    words: &Words,
) -> Result<Option<Chart>, ChartError> {
    let mut rows = Vec::new();
    let mut bars = Vec::new();
    let mut told = Vec::new();
    for (column, tails) in columns {
        let own = tails.iter().filter_map(|tail| Bar::of(run, column, tail));
        let own: Vec<Bar> = own.collect();
        if own.is_empty() {
            continue;
        }
        let targets = own.iter();
        let targets = targets.map(|bar| format!("{} {}", bar.name, bar.tell(words)));
        let targets = targets.collect::<Vec<_>>().join(", ");
        told.push(format!("{}: {targets}", column.metric.title));
        rows.push(Row::Heading(column.metric.title.clone()));
        bars.push(None);
        rows.extend(own.iter().map(Bar::row));
        bars.extend(own.into_iter().map(Some));
    }
    let drawn = || bars.iter().flatten();
    let shortest = drawn().map(|bar| bar.p50.min(bar.p95)).reduce(f64::min);
    let longest = drawn().map(|bar| bar.p99).reduce(f64::max);
    let (Some(shortest), Some(longest)) = (shortest, longest) else {
        return Ok(None);
    };
    let unit = Unit::Nanoseconds;
    let tick = |value: &f64| units::tick(unit, *value);
    let chart = Chart::draw(&told.join("; "), |size| {
        let axis = Axis::logarithmic(unit, shortest, longest, size.ticks());
        draw(size, &rows, axis, &tick, |frame| {
            for (row, bar) in bars.iter().enumerate() {
                let Some(bar) = bar else { continue };
                frame.bar(row, bar.p50..bar.p95, bar.ink)?;
                frame.interval(row, bar.p95..bar.p99, None)?;
                frame.tooltip(row, bar.p50..bar.p99, &bar.tell(words));
            }
            Ok(())
        })
    })?;
    Ok(Some(chart))
}
