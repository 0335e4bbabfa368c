//! The frame of all charts with rows: labels, the axis below, and room for values.
//!
//! The plotting library has no fonts here and estimates the size of texts. So labels are placed by
//! the layouts below, which leave room for the widest label that [`label`] draws.

mod layout;

use std::fmt::Write as _;
use std::ops::Range;

use plotters::backend::SVGBackend;
use plotters::chart::{ChartBuilder, ChartContext, LabelAreaPosition};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::Ranged as _;
use plotters::drawing::{DrawingArea, IntoDrawingArea as _};
use plotters::element::{EmptyElement, PathElement, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontDesc, FontFamily, FontStyle, ShapeStyle, TextStyle};

pub use self::layout::TICK;
use self::layout::{CHARACTER, Layout};
use super::axis::{Axis, Rows};
use super::theme::{Ink, escape};
use super::{ChartError, Size};
use crate::words::text::one_line;

/// The part of a chart that holds the values: [`Axis`] horizontally, pixels vertically.
type Plot<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Axis, Rows>>;

/// A row of a chart.
pub enum Row {
    /// A title above the rows that follow.
    Heading(String),
    /// A target with its value.
    Target {
        /// The target's name.
        label: String,
        /// The target's value, or why there is none.
        value: Value,
    },
}

/// The text at the end of a row.
pub enum Value {
    /// A figure.
    Figure(String),
    /// Why there is no figure.
    Missing(String),
}

/// The left edge of names, in pixels.
const LEFT: i32 = 2;

/// The heights of a heading and of the axis, in pixels.
const HEADING: i32 = 34;
const AXIS: i32 = 26;

/// A chart that is being drawn.
pub struct Frame<'a> {
    plot: Plot<'a>,
    axis: Axis,
    /// The vertical extent of each row's bar, from the top of the plot; empty for headings.
    bars: Vec<Range<i32>>,
    /// The tooltips, as SVG.
    tooltips: String,
}

/// Draws a chart: labels, axis and values, and then what `body` draws into the rows.
pub fn draw(
    size: Size,
    rows: &[Row],
    axis: Axis,
    tick: &dyn Fn(&f64) -> String,
    body: impl FnOnce(&mut Frame<'_>) -> Result<(), ChartError>,
) -> Result<String, ChartError> {
    let layout = size.layout();
    let (bars, height) = arrange(rows, layout);
    // A label that is centred under a tick near the edge would leave the drawing.
    let tick = |value: &f64| {
        let label = tick(value);
        let plot = layout.gutter..layout.width - layout.margin;
        let place = axis.map(value, (plot.start, plot.end));
        let half = i32::try_from(label.chars().count()).unwrap_or(0) * CHARACTER * TICK / 200;
        let fits = place >= half && place + half <= layout.width;
        if fits { label } else { String::new() }
    };
    let mut svg = String::new();
    let tooltips = {
        let extent = (
            layout.width.cast_unsigned(),
            (height + AXIS).cast_unsigned(),
        );
        let root = SVGBackend::with_string(&mut svg, extent).into_drawing_area();
        let mut plot = ChartBuilder::on(&root)
            .set_label_area_size(LabelAreaPosition::Left, layout.gutter)
            .set_label_area_size(LabelAreaPosition::Bottom, AXIS)
            .margin_right(layout.margin)
            .build_cartesian_2d(axis.clone(), Rows { height })?;
        plot.configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .light_line_style(Ink::Grid.stand_in())
            .bold_line_style(Ink::Grid.stand_in())
            .axis_style(Ink::Grid.stand_in())
            .x_label_formatter(&tick)
            .x_label_style(text(TICK, Ink::Muted, HPos::Center, VPos::Top))
            .draw()?;
        label(&root, rows, &bars, layout)?;
        let mut frame = Frame {
            plot,
            axis,
            bars,
            tooltips: String::new(),
        };
        body(&mut frame)?;
        root.present()?;
        frame.tooltips
    };
    Ok(svg.replace("</svg>", &format!("{tooltips}</svg>")))
}

/// The vertical extent of each row's bar, and the height of all rows.
fn arrange(rows: &[Row], layout: &Layout) -> (Vec<Range<i32>>, i32) {
    let mut top = 4;
    let mut bars = Vec::with_capacity(rows.len());
    for row in rows {
        match row {
            Row::Heading(_) => {
                bars.push(top..top);
                top += HEADING;
            }
            Row::Target { .. } => {
                let start = top + layout.lead;
                bars.push(start..start + layout.bar);
                top = start + layout.bar + layout.gap;
            }
        }
    }
    (bars, top)
}

/// Draws the names and the values: beside the bars in the wide layout, above them in the narrow
/// layout.
fn label(
    root: &DrawingArea<SVGBackend<'_>, Shift>,
    rows: &[Row],
    bars: &[Range<i32>],
    layout: &Layout,
) -> Result<(), ChartError> {
    for (row, bar) in rows.iter().zip(bars) {
        let beside = layout.lead == 0;
        let middle = if beside {
            i32::midpoint(bar.start, bar.end)
        } else {
            bar.start - layout.lead / 2 - 1
        };
        match row {
            Row::Heading(title) => {
                let limit = layout.width * 100 / (CHARACTER * layout.font);
                let title = one_line(title, usize::try_from(limit).unwrap_or_default());
                let style = text(layout.font, Ink::Text, HPos::Left, VPos::Center);
                let style = TextStyle {
                    font: style.font.style(FontStyle::Bold),
                    ..style
                };
                root.draw(&Text::new(title, (LEFT, bar.start + HEADING - 14), style))?;
            }
            Row::Target { label, value } => {
                let name = one_line(label, layout.name);
                let style = text(layout.font, Ink::Text, HPos::Left, VPos::Center);
                root.draw(&Text::new(name, (LEFT, middle), style))?;
                match value {
                    Value::Missing(why) if beside => {
                        let style = text(layout.font, Ink::Muted, HPos::Left, VPos::Center);
                        root.draw(&Text::new(why.as_str(), (layout.gutter + 8, middle), style))?;
                    }
                    Value::Missing(why) => {
                        let style = text(layout.font, Ink::Muted, HPos::Right, VPos::Center);
                        root.draw(&Text::new(why.as_str(), (layout.width - 2, middle), style))?;
                    }
                    Value::Figure(figure) => {
                        let style = text(layout.font, Ink::Text, HPos::Right, VPos::Center);
                        root.draw(&Text::new(
                            figure.clone(),
                            (layout.width - 2, middle),
                            style,
                        ))?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// Text in the document's own font. The library multiplies sizes by 1.24.
pub(super) fn text(size: i32, ink: Ink, horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    TextStyle {
        font: FontDesc::new(
            FontFamily::Name("inherit"),
            f64::from(size) * 1.24,
            FontStyle::Normal,
        ),
        color: ink.stand_in().to_backend_color(),
        pos: Pos::new(horizontal, vertical),
    }
}

impl Frame<'_> {
    /// Fills a piece of a row's bar, up to the end of the axis.
    pub fn bar(&mut self, row: usize, values: Range<f64>, ink: Ink) -> Result<(), ChartError> {
        let bar = self.bars[row].clone();
        let values = self.within(values);
        let corners = [(values.start, bar.start), (values.end, bar.end)];
        self.plot
            .draw_series([Rectangle::new(corners, ink.stand_in().filled())])?;
        Ok(())
    }

    /// Marks a bar as longer than drawn, by two gaps near its end.
    pub fn broken(&mut self, row: usize) -> Result<(), ChartError> {
        let bar = self.bars[row].clone();
        let end = (self.axis.end(), bar.start);
        let style = Ink::Page.stand_in().stroke_width(3);
        let height = bar.end - bar.start;
        let gap = |from: i32| PathElement::new(vec![(from + 5, -2), (from - 5, height + 2)], style);
        self.plot
            .draw_series([EmptyElement::at(end) + gap(-28) + gap(-20)])?;
        Ok(())
    }

    /// Writes into a piece of a row's bar if the whole text fits.
    pub fn write_into(
        &mut self,
        row: usize,
        values: Range<f64>,
        words: &str,
    ) -> Result<(), ChartError> {
        let values = self.within(values);
        let room = self.pixels(values.end) - self.pixels(values.start);
        let needed = i32::try_from(words.chars().count()).unwrap_or(i32::MAX / CHARACTER / 100)
            * CHARACTER
            * 11
            / 100;
        if needed + 6 > room {
            return Ok(());
        }
        let bar = self.bars[row].clone();
        let style = text(11, Ink::OnPart, HPos::Center, VPos::Center);
        let centre = (self.axis.middle(values), i32::midpoint(bar.start, bar.end));
        self.plot
            .draw_series([Text::new(words.to_owned(), centre, style)])?;
        Ok(())
    }

    /// Adds a tooltip to a piece of a row's bar.
    pub fn tooltip(&mut self, row: usize, values: Range<f64>, words: &str) {
        let values = self.within(values);
        let bar = self.bars[row].clone();
        let (left, top) = self.plot.backend_coord(&(values.start, bar.start));
        let width = self.pixels(values.end) - left;
        let (height, words) = (bar.end - bar.start, escape(words));
        // A piece too thin to point at is explained in the legend.
        if width > 0 {
            let _ = writeln!(
                self.tooltips,
                "<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" fill=\"none\" pointer-events=\"all\"><title>{words}</title></rect>"
            );
        }
    }

    /// Writes a note where a row's bar would begin.
    pub fn note(&mut self, row: usize, words: &str) -> Result<(), ChartError> {
        let bar = self.bars[row].clone();
        let style = text(13, Ink::Muted, HPos::Left, VPos::Center);
        let place = (self.axis.start(), i32::midpoint(bar.start, bar.end));
        let note = EmptyElement::at(place) + Text::new(words.to_owned(), (8, 0), style);
        self.plot.draw_series([note])?;
        Ok(())
    }

    /// Marks a value across a row, so that the bar is seen on one side of it.
    pub fn mark(&mut self, row: usize, value: f64) -> Result<(), ChartError> {
        let bar = self.bars[row].clone();
        let ends = vec![(value, bar.start - 4), (value, bar.end + 4)];
        let style = ShapeStyle::from(Ink::Muted.stand_in()).stroke_width(2);
        self.plot.draw_series([PathElement::new(ends, style)])?;
        Ok(())
    }

    /// Draws an interval through the middle of a row, and the median across the interval if given.
    pub fn interval(
        &mut self,
        row: usize,
        values: Range<f64>,
        median: Option<f64>,
    ) -> Result<(), ChartError> {
        let bar = self.bars[row].clone();
        let middle = i32::midpoint(bar.start, bar.end);
        let end = values.end.min(self.axis.end());
        let mut strokes = vec![((values.start, middle), (end, middle))];
        strokes.extend([values.start, end].map(|end| ((end, middle - 4), (end, middle + 4))));
        strokes.extend(median.map(|median| ((median, bar.start), (median, bar.end))));
        // A rim in the page's colour makes the lines visible on bars and dots.
        let lines = [(Ink::Page, 4), (Ink::Text, 2)]
            .into_iter()
            .flat_map(|(ink, width)| {
                let style = ShapeStyle::from(ink.stand_in()).stroke_width(width);
                strokes
                    .clone()
                    .into_iter()
                    .map(move |(from, to)| PathElement::new(vec![from, to], style))
            });
        self.plot.draw_series(lines)?;
        Ok(())
    }

    /// Draws samples as translucent dots, spread over the height of the row so that dense places
    /// look dense.
    pub fn dots(
        &mut self,
        row: usize,
        values: impl Iterator<Item = f64>,
        ink: Ink,
    ) -> Result<(), ChartError> {
        let bar = self.bars[row].clone();
        let height = bar.end - bar.start - 4;
        // Steps of the golden section cover the height evenly for every number of dots.
        let dots = (0_i32..).zip(values).map(|(index, value)| {
            let place = (value, bar.start + 2 + (index * 618 % 1000) * height / 1000);
            plotters::element::Circle::new(place, 3, ink.stand_in().mix(0.55).filled())
        });
        self.plot.draw_series(dots)?;
        Ok(())
    }

    /// The piece of a bar that the axis shows.
    fn within(&self, values: Range<f64>) -> Range<f64> {
        let (start, end) = (self.axis.start(), self.axis.end());
        values.start.clamp(start, end)..values.end.clamp(start, end)
    }

    /// The horizontal place of a value, in pixels.
    fn pixels(&self, value: f64) -> i32 {
        self.plot.backend_coord(&(value, 0)).0
    }
}
