//! A price list: a bar from zero to each price, with its interval.

use std::ops::Range;

use super::frame::{Row, Value, draw};
use super::theme::ink_of;
use super::{Chart, ChartError, linear_axis};
use crate::figures::prices::{PriceList, RowKind};
use crate::model::Run;
use crate::statistics::Estimate;
use crate::words::Words;
use crate::words::units::{self, Scale};

/// Draws the prices in the list's first metric, and what they leave of the whole.
///
/// # Errors
///
/// If the plotting library refuses.
pub fn render(run: &Run, list: &PriceList<'_>, words: &Words) -> Result<Chart, ChartError> {
    let unit = list.metrics[0].unit;
    let shown: Vec<(&str, Option<Estimate>)> = list
        .rows
        .iter()
        .filter(|row| matches!(row.kind, RowKind::Price | RowKind::Interaction))
        .map(|row| (row.name, row.costs.first().copied().flatten()))
        .collect();
    let ends = shown
        .iter()
        .filter_map(|(_, cost)| *cost)
        .map(Estimate::extent);
    let values = ends.fold(0.0..0.0, |all: Range<f64>, one| {
        all.start.min(one.start)..f64::max(all.end, one.end)
    });
    let scale = Scale::of(unit, values.end);
    let text = |cost: Estimate| units::value(unit, cost.value);
    let row = |(name, cost): &(&str, Option<Estimate>)| Row::Target {
        label: (*name).to_owned(),
        value: cost.map_or(
            Value::Missing(words.text("cell.not-measured").to_owned()),
            |cost| Value::Figure(text(cost)),
        ),
    };
    let rows: Vec<Row> = shown.iter().map(row).collect();
    let told = shown.iter().map(|(name, cost)| {
        let cost = cost.map_or_else(|| words.text("cell.not-measured").to_owned(), text);
        format!("{name} {cost}")
    });
    let told: Vec<String> = told.collect();
    let description = format!(
        "{}: {}",
        words.say(
            "prices.figure",
            &[
                ("metric", &list.metrics[0].title),
                ("target", &list.target.name)
            ]
        ),
        told.join(", ")
    );
    let ink = ink_of(run, list.target);
    Chart::draw(&description, |size| {
        let axis = linear_axis(size, unit, values.clone());
        draw(size, &rows, axis, &|value| scale.tick(*value), |frame| {
            for (index, (_, cost)) in shown.iter().enumerate() {
                let Some(cost) = cost else { continue };
                frame.bar(index, cost.value.min(0.0)..cost.value.max(0.0), ink)?;
                if let Some(interval) = cost.interval {
                    frame.interval(index, interval.low..interval.high, None)?;
                }
            }
            Ok(())
        })
    })
}
