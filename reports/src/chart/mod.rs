//! The charts of a report, as SVG that follows the document's theme.
//!
//! All charts of bars have one shape: a row per target, values at the right, and the same order and
//! colours. Each chart is drawn twice, wide and narrow, and the document's style sheet shows the
//! drawing whose text is readable. A single drawing can't be scaled that far.

mod axis;
pub mod bars;
mod compact;
pub mod curves;
pub mod distribution;
pub mod evidence;
mod frame;
pub mod percentiles;
pub mod phases;
pub mod prices;
pub mod tails;
pub mod theme;
pub mod tradeoff;

use std::ops::Range;

use plotters::drawing::DrawingAreaErrorKind;
use thiserror::Error;

use self::axis::Axis;
use self::frame::{Row, Value};
use crate::figures::summary::{Cell, CellContent, Column};
use crate::model::{TargetKind, Unit};
use crate::words::Words;
use crate::words::units::{self, Scale};

/// Why a chart can't be drawn.
#[derive(Debug, Error)]
#[error("the plotting library refused: {0}")]
pub struct ChartError(String);

impl<E: std::error::Error + Send + Sync> From<DrawingAreaErrorKind<E>> for ChartError {
    fn from(error: DrawingAreaErrorKind<E>) -> Self {
        Self(error.to_string())
    }
}

/// A chart in two sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chart {
    /// The drawing for a page of some 700 pixels and more.
    pub wide: String,
    /// The drawing for a telephone.
    pub narrow: String,
}

/// The size of a drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Wide,
    Narrow,
}

impl Chart {
    fn draw(
        description: &str,
        draw: impl Fn(Size) -> Result<String, ChartError>,
    ) -> Result<Self, ChartError> {
        let themed = |size, class| {
            let drawing = compact::compact(&draw(size)?);
            Ok::<_, ChartError>(theme::apply(&drawing, class, description))
        };
        Ok(Self {
            wide: themed(Size::Wide, "wide")?,
            narrow: themed(Size::Narrow, "narrow")?,
        })
    }
}

/// A bar longer than this many times the longest bar of the ladder is drawn broken, so that the
/// ladder remains readable beside a slow peer.
const BREAK: f64 = 4.0;

/// The values of a chart of bars, from which its axis is made.
struct Values {
    unit: Unit,
    /// The longest bar that is not broken.
    longest: f64,
}

impl Values {
    fn of(columns: &[&Column<'_>]) -> Self {
        let cells = || columns.iter().flat_map(|column| &column.cells);
        let longest = |limit: f64, ladder: bool| {
            cells()
                .filter(|cell| !ladder || matches!(cell.target.kind, TargetKind::Rung(_)))
                .filter_map(|cell| cell.figure())
                .map(|figure| {
                    figure
                        .interval
                        .map_or(figure.median, |interval| interval.high)
                })
                .filter(|value| *value <= limit)
                .fold(0.0, f64::max)
        };
        let ladder = longest(f64::INFINITY, true);
        let limit = if ladder > 0.0 {
            ladder * BREAK
        } else {
            f64::INFINITY
        };
        Self {
            unit: columns
                .first()
                .map_or(Unit::Bytes, |column| column.metric.unit),
            longest: longest(limit, false),
        }
    }

    /// The axis with the most ticks whose labels don't touch.
    fn axis(&self, size: Size) -> Axis {
        linear_axis(size, self.unit, 0.0..self.longest)
    }

    fn tick(&self) -> impl Fn(&f64) -> String {
        let scale = Scale::of(self.unit, self.longest);
        move |value| scale.tick(*value)
    }

    fn exceeded_by(&self, value: f64) -> bool {
        value > self.longest
    }
}

/// The axis over `values` with the most ticks whose labels don't touch.
fn linear_axis(size: Size, unit: Unit, values: Range<f64>) -> Axis {
    let scale = Scale::of(unit, values.end);
    let fits = |axis: &Axis| {
        let label = axis.longest_label(|value| scale.tick(*value));
        axis.spacing(size.plot_width()) > Size::label_width(label)
    };
    let with = |count| Axis::linear(values.start, values.end, scale.divisor, count);
    let axes = (2..=size.ticks()).rev().map(with);
    axes.clone().find(fits).unwrap_or_else(|| with(2))
}

/// The longest bar of a column that is not broken, if the column has a chart of its own.
pub fn longest(column: &Column<'_>) -> f64 {
    Values::of(&[column]).longest
}

/// Whether some bar of these columns is broken.
pub fn has_broken_bars(columns: &[&Column<'_>]) -> bool {
    let values = Values::of(columns);
    let figures = columns
        .iter()
        .flat_map(|column| &column.cells)
        .filter_map(|cell| cell.figure());
    figures
        .into_iter()
        .any(|figure| values.exceeded_by(figure.median))
}

/// The cells of targets that were tried. The others have no row: a report says once why they
/// weren't tried.
fn shown<'a, 'b>(column: &'b Column<'a>) -> Vec<&'b Cell<'a>> {
    column
        .cells
        .iter()
        .filter(|cell| cell.was_tried())
        .collect()
}

fn row(unit: Unit, cell: &Cell<'_>, words: &Words) -> Row {
    Row::Target {
        label: cell.target.name.clone(),
        value: value(unit, cell, words),
    }
}

fn value(unit: Unit, cell: &Cell<'_>, words: &Words) -> Value {
    let missing = |name| Value::Missing(words.text(name).to_owned());
    match &cell.content {
        CellContent::Figure(figure) => Value::Figure(units::value(unit, figure.median)),
        CellContent::Failed => missing("chart.failed"),
        CellContent::Unavailable(_) | CellContent::NotTaken => missing("cell.not-measured"),
    }
}

/// A description of a chart in words.
fn describe(columns: &[&Column<'_>], words: &Words) -> String {
    let column = |column: &&Column<'_>| {
        let cells =
            shown(column)
                .into_iter()
                .map(|cell| match value(column.metric.unit, cell, words) {
                    Value::Figure(text) => format!("{} {text}", cell.target.name),
                    Value::Missing(why) => format!("{} {why}", cell.target.name),
                });
        format!(
            "{}: {}",
            column.metric.title,
            cells.collect::<Vec<_>>().join(", ")
        )
    };
    columns.iter().map(column).collect::<Vec<_>>().join("; ")
}
