//! Each plot of a report by itself, as SVG and as PNG, for slides and papers.
//!
//! In a report, colours are names of its style sheet and the font is that of the page. A plot by
//! itself has both written out, in the style sheet's light colours, so that it looks the same.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{self, Options, Tree};
use thiserror::Error;

use crate::export::html::{FigureView, ReportError, figures};
use crate::figures::summary::Summary;
use crate::model::Run;
use crate::words::given::translate;
use crate::words::{Language, Words};

/// The style sheet that defines the colours.
const STYLE: &str = include_str!("../../templates/report.css");

/// Fonts that have every character of a plot; the first font that the host has is used.
const FONTS: &str = "DejaVu Sans, Liberation Sans, Noto Sans, Arial, sans-serif";

/// Pixels of a PNG for each pixel of the drawing.
const SCALE: f32 = 2.0;

/// Longest name of a plot, in characters.
const LONGEST: usize = 80;

/// Why a plot can't be made.
#[derive(Debug, Error)]
pub enum PlotError {
    /// A chart can't be drawn.
    #[error("cannot draw the plots")]
    Report(#[from] ReportError),
    /// The host has no font.
    #[error("no font is installed to write a PNG with: install one, such as fonts-dejavu-core")]
    NoFont,
    /// The drawing can't be read back.
    #[error("cannot turn the plot {name} into a PNG")]
    Drawing {
        /// The name of the plot.
        name: String,
        /// The library's error.
        source: usvg::Error,
    },
    /// The picture is too large, or can't be encoded.
    #[error("cannot make a PNG of the plot {0}")]
    Picture(String),
}

/// A plot by itself.
#[derive(Debug)]
pub struct Plot {
    /// The name of a file for the plot, without its ending.
    pub name: String,
    /// The drawing as SVG.
    pub svg: String,
}

impl Plot {
    /// The plot as a PNG.
    ///
    /// # Errors
    ///
    /// If the host has no font, or the drawing is refused.
    pub fn png(&self) -> Result<Vec<u8>, PlotError> {
        static FONT_DATABASE: OnceLock<Arc<Database>> = OnceLock::new();
        let fonts = FONT_DATABASE.get_or_init(|| {
            let mut fonts = Database::new();
            fonts.load_system_fonts();
            Arc::new(fonts)
        });
        if fonts.is_empty() {
            return Err(PlotError::NoFont);
        }
        let options = Options {
            fontdb: Arc::clone(fonts),
            ..Options::default()
        };
        let tree = Tree::from_str(&self.svg, &options).map_err(|source| PlotError::Drawing {
            name: self.name.clone(),
            source,
        })?;
        let refused = || PlotError::Picture(self.name.clone());
        let size = tree.size().to_int_size();
        let size = size.scale_by(SCALE).ok_or_else(refused)?;
        let mut pixels = Pixmap::new(size.width(), size.height()).ok_or_else(refused)?;
        resvg::render(
            &tree,
            Transform::from_scale(SCALE, SCALE),
            &mut pixels.as_mut(),
        );
        pixels.encode_png().map_err(|_| refused())
    }
}

/// Every plot of the report over `runs`.
///
/// # Errors
///
/// If a plot can't be drawn.
pub fn plots(runs: &[Run], language: Language) -> Result<Vec<Plot>, PlotError> {
    let words = &Words::of(language);
    let mut plots = Vec::new();
    let mut taken = HashSet::new();
    for (index, run) in runs.iter().enumerate() {
        let prefix = if runs.len() > 1 {
            format!("run-{}-", index + 1)
        } else {
            String::new()
        };
        for (experiment, figure) in figures::all(&Summary::of(&translate(run, words)), words)? {
            for (ending, svg) in drawings(&figure) {
                let name = format!("{prefix}{experiment}-{}{ending}", figure.title);
                let svg = standalone(svg);
                plots.push(Plot {
                    name: unique(&file_name(&name), &mut taken),
                    svg,
                });
            }
        }
    }
    Ok(plots)
}

fn drawings(figure: &FigureView) -> impl Iterator<Item = (&'static str, &str)> {
    let logarithmic = figure.logarithmic.as_ref();
    let logarithmic = logarithmic.map(|chart| ("-logarithmic", chart.wide.as_str()));
    [("", figure.chart.wide.as_str())]
        .into_iter()
        .chain(logarithmic)
}

/// The drawing with its size, its colours, a background and a font written out.
fn standalone(drawing: &str) -> String {
    let mut svg = drawing.replace("=\"inherit\"", &format!("=\"{FONTS}\""));
    for (name, colour) in colours() {
        svg = svg.replace(&format!("=\"var(--{name})\""), &format!("=\"{colour}\""));
    }
    let size = svg.split_once("viewBox=\"0 0 ").and_then(|(_, rest)| {
        let (width, rest) = rest.split_once(' ')?;
        Some((width.to_owned(), rest.split_once('"')?.0.to_owned()))
    });
    let (width, height) = size.unwrap_or_default();
    let opened = format!("<svg width=\"{width}\" height=\"{height}\"");
    let svg = svg.replacen("<svg class=\"wide\"", &opened, 1);
    let background = colours()
        .find(|(name, _)| *name == "page")
        .map_or("", |(_, colour)| colour);
    let background =
        format!("><rect width=\"{width}\" height=\"{height}\" fill=\"{background}\"/>");
    svg.replacen('>', &background, 1)
}

/// The style sheet's colours for light pages, by name.
fn colours() -> impl Iterator<Item = (&'static str, &'static str)> {
    let light = STYLE.split("@media").next().unwrap_or_default();
    let pieces = light.split(['{', ';', '\n']);
    pieces.filter_map(|piece| {
        let (name, colour) = piece.trim().strip_prefix("--")?.split_once(':')?;
        Some((name, colour.trim()))
    })
}

/// A name of characters that every file system and shell accepts.
fn file_name(name: &str) -> String {
    let mut safe = String::new();
    for character in name.chars() {
        if character.is_ascii_alphanumeric() {
            safe.push(character.to_ascii_lowercase());
        } else if !safe.ends_with('-') && !safe.is_empty() {
            safe.push('-');
        }
    }
    safe.truncate(LONGEST);
    safe.trim_end_matches('-').to_owned()
}

/// The name, with a number behind it if the name is taken.
fn unique(name: &str, taken: &mut HashSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut names = [name.to_owned()].into_iter().chain(numbered);
    let free = names.find(|name| !taken.contains(name)).unwrap_or_default();
    taken.insert(free.clone());
    free
}

#[cfg(test)]
mod tests {
    use isobench_testing::{Need, skip};

    use super::*;
    use crate::fixture;

    #[test]
    fn every_plot_stands_alone() {
        let mut run = fixture::with_prices();
        fixture::add_crowds(&mut run);
        run.samples.retain(|sample| sample.round < 4);
        let plots = plots(&[run], Language::English).unwrap();
        let names: HashSet<&str> = plots.iter().map(|plot| plot.name.as_str()).collect();
        assert_eq!(names.len(), plots.len());
        assert!(
            names.contains("startup-spawn-to-ready-by-part-logarithmic"),
            "{names:?}"
        );
        for Plot { name, svg } in &plots {
            assert!(svg.starts_with("<svg width=\"880\" height=\""), "{name}");
            assert!(
                !svg.contains("=\"var(") && !svg.contains("inherit"),
                "{name}"
            );
        }
    }

    #[test]
    fn a_plot_becomes_a_picture_of_twice_its_size() {
        let mut run = fixture::run();
        run.samples.retain(|sample| sample.round < 4);
        let plot = plots(&[run], Language::English).unwrap().remove(0);
        match plot.png() {
            Ok(png) => {
                assert!(png.starts_with(b"\x89PNG"));
                assert_eq!(png[16..20], 1760_u32.to_be_bytes());
            }
            Err(error @ PlotError::NoFont) => skip(Need::Font, error),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn names_lead_nowhere_else() {
        assert_eq!(file_name("../../etc/passwd"), "etc-passwd");
        assert_eq!(file_name("<a> \u{202e}b"), "a-b");
        assert_eq!(file_name(&"x/".repeat(200)).len(), LONGEST - 1);
        let mut taken = HashSet::new();
        assert_eq!(
            ["a", "a", "a"].map(|name| unique(name, &mut taken)),
            ["a", "a-2", "a-3"]
        );
    }
}
