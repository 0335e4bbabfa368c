//! The sizes of the pieces of a chart of rows.

use crate::chart::Size;

/// Sizes of a drawing, in pixels if not said otherwise.
pub struct Layout {
    pub width: i32,
    /// The room left of the plot.
    pub gutter: i32,
    /// The room right of the plot.
    pub margin: i32,
    /// The height of the text above a bar; zero if the text stands left of the plot.
    pub lead: i32,
    pub bar: i32,
    pub gap: i32,
    pub font: i32,
    /// The longest name that fits, in characters.
    pub name: usize,
    /// The most ticks that fit.
    pub ticks: usize,
}

const WIDE: Layout = Layout {
    width: 880,
    gutter: 152,
    margin: 112,
    lead: 0,
    bar: 22,
    gap: 12,
    font: 13,
    name: 20,
    ticks: 10,
};
const NARROW: Layout = Layout {
    width: 360,
    gutter: 6,
    margin: 18,
    lead: 18,
    bar: 16,
    gap: 10,
    font: 13,
    name: 24,
    ticks: 6,
};

/// The font size of ticks, in pixels.
pub const TICK: i32 = 12;

/// The average width of a character, in hundredths of the font's size: that of `DejaVu` Sans, the
/// widest of the usual fonts.
pub const CHARACTER: i32 = 62;

impl Size {
    pub fn layout(self) -> &'static Layout {
        match self {
            Self::Wide => &WIDE,
            Self::Narrow => &NARROW,
        }
    }

    /// The width of the part of a chart that holds the values, in pixels.
    pub fn plot_width(self) -> f64 {
        let layout = self.layout();
        f64::from(layout.width - layout.gutter - layout.margin)
    }

    /// The width of a tick's label of this many characters, with the room around it, in pixels.
    pub fn label_width(characters: usize) -> f64 {
        (characters + 2) as f64 * f64::from(CHARACTER * TICK) / 100.0
    }

    /// The most ticks that fit below a chart of this size.
    pub fn ticks(self) -> usize {
        self.layout().ticks
    }
}
