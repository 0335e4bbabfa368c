//! Colours by name, so that one drawing serves light and dark pages.
//!
//! The plotting library knows only fixed colours. So charts are drawn in colours that stand for
//! names, and [`apply`] replaces them by the names: `fill="#015003"` becomes
//! `fill="var(--target-3)"`. The library escapes quotation marks in text, so no text can be taken
//! for an attribute.

use std::fmt::Write as _;

use plotters::style::RGBColor;

use crate::model::{Run, Target, TargetKind};

/// A colour of the style sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Text.
    Text,
    /// Text of less importance.
    Muted,
    /// Lines of the grid.
    Grid,
    /// The background of the page.
    Page,
    /// Bars without parts.
    Plain,
    /// Text on a part of a bar.
    OnPart,
    /// A target, by its place among [`TARGETS`] colours.
    Target(u8),
    /// A part, by its place among [`PARTS`] colours.
    Part(u8),
}

/// The number of colours for targets: five rungs, one for all floors, six for peers.
pub const TARGETS: u8 = RUNGS + 1 + PEERS;

/// The number of colours for parts.
pub const PARTS: u8 = 20;

const RUNGS: u8 = 5;
const PEERS: u8 = 6;

/// The first byte of every colour that stands for a name.
const MARK: u8 = 0x01;
const GENERAL: u8 = 0x40;
const TARGET: u8 = 0x50;
const PART: u8 = 0x60;

impl Ink {
    /// The fixed colour that stands for this colour in a drawing.
    pub fn stand_in(self) -> RGBColor {
        let (class, index) = match self {
            Self::Text => (GENERAL, 0),
            Self::Muted => (GENERAL, 1),
            Self::Grid => (GENERAL, 2),
            Self::Page => (GENERAL, 3),
            Self::OnPart => (GENERAL, 4),
            Self::Plain => (GENERAL, 5),
            Self::Target(index) => (TARGET, index),
            Self::Part(index) => (PART, index),
        };
        RGBColor(MARK, class, index)
    }

    /// The name of the colour in the style sheet, without the dashes.
    pub fn name(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Muted => "muted".to_owned(),
            Self::Grid => "grid".to_owned(),
            Self::Page => "page".to_owned(),
            Self::OnPart => "on-part".to_owned(),
            Self::Plain => "plain".to_owned(),
            Self::Target(index) => format!("target-{index}"),
            Self::Part(index) => format!("part-{index}"),
        }
    }

    /// The colour of the part at a place in a list of parts; after the last colour the first is
    /// used again.
    pub fn of_part(place: usize) -> Self {
        Self::Part(cyclic(place, PARTS))
    }

    fn all() -> impl Iterator<Item = Self> {
        let general = [
            Self::Text,
            Self::Muted,
            Self::Grid,
            Self::Page,
            Self::OnPart,
            Self::Plain,
        ];
        general
            .into_iter()
            .chain((0..TARGETS).map(Self::Target))
            .chain((0..PARTS).map(Self::Part))
    }
}

/// The colour of a target: by rung for the ladder, one for all floors, in order for peers.
pub fn ink_of(run: &Run, target: &Target) -> Ink {
    let index = match target.kind {
        TargetKind::Rung(rung) => rung % RUNGS,
        TargetKind::Floor => RUNGS,
        TargetKind::Peer => {
            let peers = run
                .targets
                .iter()
                .filter(|other| other.kind == TargetKind::Peer);
            RUNGS
                + 1
                + cyclic(
                    peers.take_while(|other| other.name != target.name).count(),
                    PEERS,
                )
        }
    };
    Ink::Target(index)
}

fn cyclic(place: usize, colours: u8) -> u8 {
    u8::try_from(place % usize::from(colours)).unwrap_or_default()
}

/// Makes a drawing part of the document: colours by name, the width of the page, and a description
/// for those who can't see the drawing.
pub fn apply(svg: &str, class: &str, description: &str) -> String {
    let mut themed = svg.to_owned();
    for ink in Ink::all() {
        let RGBColor(red, green, blue) = ink.stand_in();
        let stand_in = format!("=\"#{red:02X}{green:02X}{blue:02X}\"");
        themed = themed.replace(&stand_in, &format!("=\"var(--{})\"", ink.name()));
    }
    let Some((head, body)) = themed.split_once(" viewBox=") else {
        return themed;
    };
    debug_assert!(
        head.starts_with("<svg width="),
        "the drawing opens with its size"
    );
    let mut document = String::with_capacity(themed.len() + description.len());
    let _ = write!(
        document,
        "<svg class=\"{class}\" role=\"img\" aria-label=\"{}\" viewBox=",
        escape(description)
    );
    document.push_str(body);
    document
}

/// Escapes text for SVG, for an attribute too.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn each_colour_has_its_own_stand_in() {
        let mut seen: Vec<_> = Ink::all()
            .map(Ink::stand_in)
            .map(|RGBColor(r, g, b)| (r, g, b))
            .collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), Ink::all().count());
    }

    #[test]
    fn colours_and_size_give_way_to_the_style_sheet() {
        let drawing = "<svg width=\"9\" height=\"9\" viewBox=\"0 0 9 9\"><rect fill=\"#015003\"/><text>&quot;#015003&quot;</text></svg>";
        let expected = "<svg class=\"wide\" role=\"img\" aria-label=\"a &lt;b&gt; &quot;\" viewBox=\"0 0 9 9\">\
                        <rect fill=\"var(--target-3)\"/><text>&quot;#015003&quot;</text></svg>";
        assert_eq!(apply(drawing, "wide", "a <b> \""), expected);
    }

    #[test]
    fn rungs_floors_and_peers_have_colours_of_their_own() {
        let run = fixture::run();
        let inks: Vec<_> = run
            .targets
            .iter()
            .map(|target| ink_of(&run, target))
            .collect();
        assert_eq!(inks, [0, 1, 2, 4, 5, 6, 7].map(Ink::Target));
    }
}
