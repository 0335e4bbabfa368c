//! How large the parts of a chart of rows are.

use crate::chart::Size;

/// Extents in pixels of the drawing.
pub struct Layout {
    pub width: i32,
    /// Left of the plot.
    pub gutter: i32,
    /// Right of the plot.
    pub margin: i32,
    /// Height of the text above a bar; none if the text stands in the gutter.
    pub lead: i32,
    pub bar: i32,
    pub gap: i32,
    pub font: i32,
    /// The longest name that fits.
    pub name: usize,
    /// Most ticks that fit.
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

/// Size of the font of ticks.
pub const TICK: i32 = 12;

/// Average width of a character, in hundredths of the font's size: of `DejaVu` Sans, the widest of the usual ones.
pub const CHARACTER: i32 = 62;

impl Size {
    pub fn layout(self) -> &'static Layout {
        match self {
            Self::Wide => &WIDE,
            Self::Narrow => &NARROW,
        }
    }

    /// Width of the part of a chart that holds the values.
    pub fn plot_width(self) -> f64 {
        let layout = self.layout();
        f64::from(layout.width - layout.gutter - layout.margin)
    }

    /// What a tick's label of so many characters takes, with the room around it.
    pub fn label_width(characters: usize) -> f64 {
        (characters + 2) as f64 * f64::from(CHARACTER * TICK) / 100.0
    }

    /// Most ticks that are sensible below a chart of this size.
    pub fn ticks(self) -> usize {
        self.layout().ticks
    }
}
