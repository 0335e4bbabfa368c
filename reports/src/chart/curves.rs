//! A metric against the number of instances: for each target a curve through its medians, in a band
//! that holds the middle half of its samples. Both axes are logarithmic, so a start that takes as
//! many times longer as there are instances is a straight line.

use plotters::backend::SVGBackend;
use plotters::chart::{ChartBuilder, LabelAreaPosition};
use plotters::drawing::IntoDrawingArea as _;
use plotters::element::{Circle, PathElement, Polygon, Text};
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color as _, ShapeStyle};

use super::axis::Axis;
use super::frame::{TICK, text};
use super::theme::{Ink, ink_of};
use super::{Chart, ChartError, Size};
use crate::figures::summary::Column;
use crate::model::{Run, Target, Unit};
use crate::statistics::{Line, quantile};
use crate::words::Words;
use crate::words::text::one_line;
use crate::words::units;

/// The samples of one target at one place of the horizontal axis, such as a number of instances.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub across: f64,
    pub lower: f64,
    pub median: f64,
    pub upper: f64,
}

impl Point {
    fn place(&self) -> (f64, f64) {
        (self.across, self.median)
    }
}

/// The points of a target, from left to right.
pub(super) struct Curve {
    name: String,
    ink: Ink,
    points: Vec<Point>,
    /// The line that is drawn through the points.
    line: Vec<(f64, f64)>,
}

impl Curve {
    /// A curve from point to point; nothing without a point.
    pub(super) fn new(run: &Run, target: (usize, &Target), points: Vec<Point>) -> Option<Self> {
        (!points.is_empty()).then(|| Self {
            name: target.1.name.clone(),
            ink: ink_of(run, target.1),
            line: points.iter().map(Point::place).collect(),
            points,
        })
    }
}

/// The horizontal axis.
pub(super) struct Across<'a> {
    /// What the axis shows.
    pub is: &'a str,
    /// The places of the ticks.
    pub ticks: Vec<f64>,
    /// The label of a tick.
    pub label: fn(f64) -> String,
}

impl<'a> Across<'a> {
    /// The axis for numbers of instances, with a tick for each number that the curves have.
    fn numbers(is: &'a str, curves: &[Curve]) -> Self {
        let points = curves.iter().flat_map(|curve| &curve.points);
        let mut ticks: Vec<f64> = points.map(|point| point.across).collect();
        ticks.sort_by(f64::total_cmp);
        ticks.dedup();
        let label = |number| format!("{number:.0}");
        Self { is, ticks, label }
    }
}

/// Sizes of the drawing, in pixels.
struct Layout {
    width: u32,
    height: u32,
    /// The room left of the plot, for the labels of values.
    gutter: i32,
    /// The room right of the plot, for names if there is enough.
    margin: i32,
    names: bool,
    ticks: usize,
}

const WIDE: Layout = Layout {
    width: 880,
    height: 430,
    gutter: 84,
    margin: 150,
    names: true,
    ticks: 12,
};
const NARROW: Layout = Layout {
    width: 360,
    height: 330,
    gutter: 66,
    margin: 10,
    names: false,
    ticks: 9,
};

/// The room below the plot, for the ticks and what they are of, in pixels.
const FOOT: i32 = 46;
/// The distance between two names at the ends of curves, in pixels.
const LINE: i32 = 15;
/// The number of pieces of a bent line from one point to the next.
const PIECES: u32 = 8;
/// The longest name that fits beside the plot, in characters.
const NAME: usize = 17;

/// Draws columns of one unit, each for another number of instances that start at once; nothing if
/// there is no point.
///
/// # Errors
///
/// If the plotting library refuses.
pub fn render(
    run: &Run,
    columns: &[&Column<'_>],
    words: &Words,
) -> Result<Option<Chart>, ChartError> {
    let curves = curves(run, columns);
    let across = Across::numbers(words.text("chart.at-once"), &curves);
    draw_numbers(columns, &curves, &across)
}

/// Draws columns of one unit, each for another number of instances that have run; nothing if there
/// is no point.
///
/// # Errors
///
/// If the plotting library refuses.
pub fn render_ran(
    run: &Run,
    columns: &[&Column<'_>],
    words: &Words,
) -> Result<Option<Chart>, ChartError> {
    let curves = curves(run, columns);
    let across = Across::numbers(words.text("image.across"), &curves);
    draw_numbers(columns, &curves, &across)
}

/// Draws columns of one unit, each for another number of instances that stay. A target that has a
/// straight `line` gets it instead of a line from median to median; on logarithmic axes a straight
/// line is bent. Nothing if there is no point.
///
/// # Errors
///
/// If the plotting library refuses.
pub fn render_lines(
    run: &Run,
    columns: &[&Column<'_>],
    line: &dyn Fn(&str) -> Option<Line>,
    words: &Words,
) -> Result<Option<Chart>, ChartError> {
    let mut curves = curves(run, columns);
    for curve in &mut curves {
        if let Some(line) = line(&curve.name) {
            curve.line = bent(line, &curve.points);
        }
    }
    let across = Across::numbers(words.text("density.across"), &curves);
    draw_numbers(columns, &curves, &across)
}

fn draw_numbers(
    columns: &[&Column<'_>],
    curves: &[Curve],
    across: &Across<'_>,
) -> Result<Option<Chart>, ChartError> {
    let Some(first) = columns.first() else {
        return Ok(None);
    };
    draw_curves(first.metric.unit, curves, across)
}

/// Places on `line` from the first of `points` to the last, as far as they are above zero.
fn bent(line: Line, points: &[Point]) -> Vec<(f64, f64)> {
    let numbers = points.windows(2).flat_map(|pair| {
        let (from, to) = (pair[0].across, pair[1].across);
        (0..PIECES).map(move |piece| from + (to - from) * f64::from(piece) / f64::from(PIECES))
    });
    let last = points.last().map(|point| point.across);
    let places = numbers
        .chain(last)
        .map(|number| (number, line.slope.mul_add(number, line.intercept)));
    places.filter(|(_, value)| *value > 0.0).collect()
}

/// Draws curves of values above zero; nothing if there is no such value.
///
/// # Errors
///
/// If the plotting library refuses.
pub(super) fn draw_curves(
    unit: Unit,
    curves: &[Curve],
    across: &Across<'_>,
) -> Result<Option<Chart>, ChartError> {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let lowest = points().map(|point| point.lower).reduce(f64::min);
    let highest = points().map(|point| point.upper).reduce(f64::max);
    let (Some(lowest), Some(highest)) = (lowest, highest) else {
        return Ok(None);
    };
    let chart = Chart::draw(&describe(unit, curves, across), |size| {
        let layout = match size {
            Size::Wide => &WIDE,
            Size::Narrow => &NARROW,
        };
        let up = Axis::logarithmic(unit, lowest, highest, layout.ticks);
        draw(layout, unit, curves, across, up)
    })?;
    Ok(Some(chart))
}

fn curves(run: &Run, columns: &[&Column<'_>]) -> Vec<Curve> {
    let of_target = |(index, target): (usize, &Target)| {
        let points = columns.iter().filter_map(|column| {
            let figure = column.cells[index].figure()?;
            let mut values: Vec<f64> = figure.series.values().collect();
            values.sort_by(f64::total_cmp);
            let point = Point {
                across: f64::from(column.metric.at_once?),
                lower: quantile(&values, 250)?,
                median: figure.median,
                upper: quantile(&values, 750)?,
            };
            // A logarithmic axis has no place for zero.
            (point.lower > 0.0 && point.across > 0.0).then_some(point)
        });
        let mut points: Vec<Point> = points.collect();
        points.sort_by(|left, right| left.across.total_cmp(&right.across));
        Curve::new(run, (index, target), points)
    };
    run.targets
        .iter()
        .enumerate()
        .filter_map(of_target)
        .collect()
}

fn draw(
    layout: &Layout,
    unit: Unit,
    curves: &[Curve],
    across: &Across<'_>,
    up: Axis,
) -> Result<String, ChartError> {
    let mut svg = String::new();
    {
        let root =
            SVGBackend::with_string(&mut svg, (layout.width, layout.height)).into_drawing_area();
        let mut plot = ChartBuilder::on(&root)
            .set_label_area_size(LabelAreaPosition::Left, layout.gutter)
            .set_label_area_size(LabelAreaPosition::Bottom, FOOT)
            .margin_right(layout.margin)
            .margin_top(8)
            .build_cartesian_2d(Axis::at(across.ticks.clone()), up)?;
        plot.configure_mesh()
            .light_line_style(Ink::Grid.stand_in())
            .bold_line_style(Ink::Grid.stand_in())
            .axis_style(Ink::Grid.stand_in())
            .x_desc(across.is)
            .axis_desc_style(text(TICK, Ink::Muted, HPos::Center, VPos::Top))
            .x_label_formatter(&|place| (across.label)(*place))
            .x_label_style(text(TICK, Ink::Muted, HPos::Center, VPos::Top))
            .y_label_formatter(&|value| units::tick(unit, *value))
            .y_label_style(text(TICK, Ink::Muted, HPos::Right, VPos::Center))
            .draw()?;
        for curve in curves {
            let (there, back) = (curve.points.iter(), curve.points.iter().rev());
            let outline = there
                .map(|point| (point.across, point.lower))
                .chain(back.map(|point| (point.across, point.upper)));
            let colour = curve.ink.stand_in();
            plot.draw_series([Polygon::new(outline.collect::<Vec<_>>(), colour.mix(0.16))])?;
        }
        for curve in curves {
            let style = ShapeStyle::from(curve.ink.stand_in()).stroke_width(2);
            plot.draw_series([PathElement::new(curve.line.clone(), style)])?;
            let dot = |place| Circle::new(place, 4, curve.ink.stand_in().filled());
            plot.draw_series(curve.points.iter().map(Point::place).map(dot))?;
        }
        if layout.names {
            let ends: Vec<(i32, i32)> = curves
                .iter()
                .filter_map(|curve| curve.points.last())
                .map(|point| plot.backend_coord(&point.place()))
                .collect();
            for (curve, (x, y)) in curves.iter().zip(spread(&ends)) {
                let style = text(13, curve.ink, HPos::Left, VPos::Center);
                root.draw(&Text::new(one_line(&curve.name, NAME), (x + 14, y), style))?;
            }
        }
        root.present()?;
    }
    Ok(svg)
}

/// Moves places down, each as little as possible, until a line of text fits between any two.
fn spread(places: &[(i32, i32)]) -> Vec<(i32, i32)> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|index| places[*index].1);
    let mut moved = places.to_vec();
    for pair in order.windows(2) {
        let least = moved[pair[0]].1 + LINE;
        moved[pair[1]].1 = moved[pair[1]].1.max(least);
    }
    moved
}

/// A description of the chart in words.
fn describe(unit: Unit, curves: &[Curve], across: &Across<'_>) -> String {
    let point = |point: &Point| {
        let value = units::value(unit, point.median);
        format!("{value} at {}", (across.label)(point.across))
    };
    let curve = |curve: &Curve| {
        let points: Vec<String> = curve.points.iter().map(point).collect();
        format!("{} {}", curve.name, points.join(", "))
    };
    let curves: Vec<String> = curves.iter().map(curve).collect();
    let curves = curves.join("; ");
    format!("{}: {curves}", across.is)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bent_line_goes_through_all_numbers_and_stays_above_zero() {
        let point = |at_once| Point {
            across: at_once,
            lower: 1.0,
            median: 1.0,
            upper: 1.0,
        };
        let line = Line {
            slope: 3.0,
            intercept: -4.0,
        };
        let places = bent(line, &[1.0, 2.0, 4.0].map(point));
        assert_eq!(places.last(), Some(&(4.0, 8.0)));
        assert!(places.contains(&(2.0, 2.0)));
        assert!(places.iter().all(|(_, value)| *value > 0.0));
    }

    #[test]
    fn names_leave_each_other_room_and_keep_their_order() {
        let places = [(0, 100), (0, 20), (0, 101), (0, 22), (0, 300)];
        let moved: Vec<i32> = spread(&places).into_iter().map(|(_, y)| y).collect();
        assert_eq!(moved, [100, 20, 115, 35, 300]);
    }
}
