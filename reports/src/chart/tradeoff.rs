//! Cost against isolation: a dot for each target, at its cost and at the number of system calls of
//! the host's kernel within its reach. Both axes are logarithmic, since targets are orders of
//! magnitude apart.
//!
//! Names never overlap. They stand in a column at the right, and a line joins each with its dot. If
//! the dots fall into two groups with room between them, the names of the left group stand in that
//! room.

use plotters::backend::SVGBackend;
use plotters::chart::{ChartBuilder, LabelAreaPosition};
use plotters::drawing::IntoDrawingArea as _;
use plotters::element::{Circle, PathElement, Text};
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color as _, ShapeStyle};

use super::axis::Axis;
use super::frame::{TICK, text};
use super::theme::Ink;
use super::{Chart, ChartError, Size};
use crate::model::Unit;
use crate::words::Words;
use crate::words::text::one_line;
use crate::words::units;

/// The dot of a target.
#[derive(Debug, Clone)]
pub struct Dot {
    /// The target's name.
    pub name: String,
    /// The target's colour.
    pub ink: Ink,
    /// The number of system calls of the host's kernel within reach.
    pub calls: f64,
    /// The target's cost, above zero.
    pub cost: f64,
}

/// Sizes of the drawing, in pixels.
struct Layout {
    width: i32,
    height: i32,
    /// The room left of the plot, for the labels of costs.
    gutter: i32,
    /// The room right of the plot, for names.
    margin: i32,
    font: i32,
    /// The longest name that fits, in characters.
    name: usize,
    /// The most ticks of the horizontal and of the vertical axis.
    ticks: (usize, usize),
}

const WIDE: Layout = Layout {
    width: 880,
    height: 430,
    gutter: 84,
    margin: 168,
    font: 13,
    name: 17,
    ticks: (10, 12),
};
const NARROW: Layout = Layout {
    width: 360,
    height: 380,
    gutter: 64,
    margin: 130,
    font: 12,
    name: 15,
    ticks: (4, 9),
};

/// The room above the plot and below it, in pixels.
const HEAD: i32 = 10;
const FOOT: i32 = 46;
/// The distance between two names, in pixels.
const LINE: i32 = 16;
/// The distance between a column of names and the dots beside it, in pixels.
const APART: i32 = 22;

/// Draws the dots; nothing if there are none.
///
/// # Errors
///
/// If the plotting library refuses.
pub fn render(unit: Unit, dots: &[Dot], words: &Words) -> Result<Option<Chart>, ChartError> {
    if dots.is_empty() {
        return Ok(None);
    }
    let across_is = words.text("tradeoff.across");
    let chart = Chart::draw(&describe(unit, dots, across_is), |size| {
        let layout = match size {
            Size::Wide => &WIDE,
            Size::Narrow => &NARROW,
        };
        draw(layout, unit, dots, across_is)
    })?;
    Ok(Some(chart))
}

fn axis(unit: Unit, values: impl Iterator<Item = f64> + Clone, ticks: usize) -> Axis {
    let lowest = values.clone().fold(f64::INFINITY, f64::min);
    Axis::logarithmic(unit, lowest, values.fold(lowest, f64::max), ticks)
}

fn draw(layout: &Layout, unit: Unit, dots: &[Dot], across_is: &str) -> Result<String, ChartError> {
    let across = axis(
        Unit::Count,
        dots.iter().map(|dot| dot.calls),
        layout.ticks.0,
    );
    let up = axis(unit, dots.iter().map(|dot| dot.cost), layout.ticks.1);
    // There has to be room for all names in one column.
    let names = i32::try_from(dots.len()).unwrap_or(i32::MAX).min(200) * LINE;
    let height = layout.height.max(names + HEAD + FOOT);
    let mut svg = String::new();
    {
        let extent = (layout.width.cast_unsigned(), height.cast_unsigned());
        let root = SVGBackend::with_string(&mut svg, extent).into_drawing_area();
        let mut plot = ChartBuilder::on(&root)
            .set_label_area_size(LabelAreaPosition::Left, layout.gutter)
            .set_label_area_size(LabelAreaPosition::Bottom, FOOT)
            .margin_right(layout.margin)
            .margin_top(HEAD)
            .build_cartesian_2d(across, up)?;
        plot.configure_mesh()
            .light_line_style(Ink::Grid.stand_in())
            .bold_line_style(Ink::Grid.stand_in())
            .axis_style(Ink::Grid.stand_in())
            .x_desc(across_is)
            .axis_desc_style(text(TICK, Ink::Muted, HPos::Center, VPos::Top))
            .x_label_formatter(&|calls| units::tick(Unit::Count, *calls))
            .x_label_style(text(TICK, Ink::Muted, HPos::Center, VPos::Top))
            .y_label_formatter(&|cost| units::tick(unit, *cost))
            .y_label_style(text(TICK, Ink::Muted, HPos::Right, VPos::Center))
            .draw()?;
        let place = |dot: &Dot| plot.backend_coord(&(dot.calls, dot.cost));
        let places: Vec<(i32, i32)> = dots.iter().map(place).collect();
        let names = names_at(&places, layout, height);
        for (at, name) in places.iter().zip(&names) {
            let style = ShapeStyle::from(Ink::Muted.stand_in().mix(0.5)).stroke_width(1);
            root.draw(&PathElement::new(vec![*at, (name.0 - 4, name.1)], style))?;
        }
        for ((dot, at), name) in dots.iter().zip(&places).zip(&names) {
            root.draw(&Circle::new(*at, 5, dot.ink.stand_in().filled()))?;
            let style = text(layout.font, dot.ink, HPos::Left, VPos::Center);
            root.draw(&Text::new(one_line(&dot.name, layout.name), *name, style))?;
        }
        root.present()?;
    }
    Ok(svg)
}

/// The places at which the names of the dots at `places` begin.
fn names_at(places: &[(i32, i32)], layout: &Layout, height: i32) -> Vec<(i32, i32)> {
    let right = layout.width - layout.margin + APART;
    let room = layout.margin;
    let mut across: Vec<i32> = places.iter().map(|(x, _)| *x).collect();
    across.sort_unstable();
    let gap = across.windows(2).max_by_key(|pair| pair[1] - pair[0]);
    let left = gap
        .filter(|pair| pair[1] - pair[0] >= room + APART)
        .map(|pair| pair[0]);
    let mut names = vec![(0, 0); places.len()];
    for is_left in [true, false] {
        let members: Vec<usize> = (0..places.len())
            .filter(|index| left.is_some_and(|last| places[*index].0 <= last) == is_left)
            .collect();
        let column = match left {
            Some(last) if is_left => last + APART,
            _ => right,
        };
        let heights: Vec<i32> = members.iter().map(|index| places[*index].1).collect();
        let heights = spread(&heights, HEAD + LINE / 2, height - FOOT - LINE / 2);
        for (index, y) in members.into_iter().zip(heights) {
            names[index] = (column, y);
        }
    }
    names
}

/// Moves heights apart, each as little as possible, until each has a line of its own between `top`
/// and `bottom`.
fn spread(heights: &[i32], top: i32, bottom: i32) -> Vec<i32> {
    let mut order: Vec<usize> = (0..heights.len()).collect();
    order.sort_by_key(|index| heights[*index]);
    let mut moved = heights.to_vec();
    let mut least = top;
    for index in &order {
        moved[*index] = moved[*index].max(least);
        least = moved[*index] + LINE;
    }
    let mut most = bottom;
    for index in order.iter().rev() {
        moved[*index] = moved[*index].min(most);
        most = moved[*index] - LINE;
    }
    moved
}

/// A description of the chart in words.
fn describe(unit: Unit, dots: &[Dot], across_is: &str) -> String {
    let dot = |dot: &Dot| {
        let calls = units::value(Unit::Count, dot.calls);
        format!("{} {calls}, {}", dot.name, units::value(unit, dot.cost))
    };
    let dots: Vec<String> = dots.iter().map(dot).collect();
    format!("{across_is}: {}", dots.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts that no two names of a column share a line and that no name leaves the drawing;
    /// gives the places of the names.
    fn assert_apart(places: &[(i32, i32)], height: i32) -> Vec<(i32, i32)> {
        let names = names_at(places, &WIDE, height);
        for (index, one) in names.iter().enumerate() {
            assert!((HEAD..=height - FOOT).contains(&one.1), "{names:?}");
            for other in &names[..index] {
                if one.0 == other.0 {
                    assert!((one.1 - other.1).abs() >= LINE, "{names:?}");
                }
            }
        }
        names
    }

    #[test]
    fn names_of_a_crowd_are_apart_in_one_column() {
        let crowd: Vec<(i32, i32)> = (0..20)
            .map(|index| (600 + index, 380 - index % 3))
            .collect();
        let names = assert_apart(&crowd, 430);
        assert!(names.iter().all(|name| name.0 == names[0].0));
    }

    #[test]
    fn dots_far_to_the_left_have_their_names_beside_them() {
        let names = assert_apart(&[(100, 300), (110, 301), (650, 100), (660, 102)], 430);
        assert_eq!(names[0].0, 110 + APART);
        assert_eq!(names[1].0, names[0].0);
        assert!(names[2].0 > 700);
        let near = assert_apart(&[(500, 300), (600, 100)], 430);
        assert_eq!(near[0].0, near[1].0);
    }
}
