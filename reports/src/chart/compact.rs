//! Smaller drawings: thousands of dots make up most of the report of a long run.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Attributes that the plotting library writes although they have their default values.
const DEFAULTS: [&str; 3] = [" opacity=\"1\"", " stroke=\"none\"", " stroke-width=\"1\""];

/// The same drawing with less text: dots in a row become the marks of one path, and default values
/// are left out.
///
/// The library writes one element a line and escapes text, so no text is taken for an element or an
/// attribute.
pub fn compact(svg: &str) -> String {
    let mut compact = String::with_capacity(svg.len() / 2);
    let mut row: Vec<Dot<'_>> = Vec::new();
    for line in svg.lines() {
        let dot = Dot::read(line);
        if let Some(last) = row.last()
            && dot.is_none_or(|dot| dot.look != last.look)
        {
            draw(&row, &mut compact);
            row.clear();
        }
        match dot {
            Some(dot) => row.push(dot),
            None => {
                let _ = writeln!(compact, "{line}");
            }
        }
    }
    DEFAULTS
        .iter()
        .fold(compact, |svg, default| svg.replace(default, ""))
}

/// A translucent circle.
#[derive(Debug, Clone, Copy)]
struct Dot<'s> {
    x: &'s str,
    y: &'s str,
    /// The circle's radius, and its attributes from the value of its opacity on.
    look: (&'s str, &'s str),
}

impl<'s> Dot<'s> {
    /// The translucent circle that a line has, if any.
    fn read(line: &'s str) -> Option<Self> {
        let (place, look) = line.strip_suffix("/>")?.split_once(" opacity=\"")?;
        let mut values = place.strip_prefix("<circle ")?.split('"');
        let mut value = || values.nth(1);
        Some(Self {
            x: value()?,
            y: value()?,
            look: (value()?, look),
        })
    }
}

/// Draws dots of one look. Each vertex of an invisible path carries a marker (SVG 2, 13.7), and
/// markers lie over each other as dots do.
fn draw(row: &[Dot<'_>], compact: &mut String) {
    let Some((first, others)) = row.split_first() else {
        return;
    };
    let (radius, look) = first.look;
    if others.is_empty() {
        let (x, y) = (first.x, first.y);
        let _ = writeln!(
            compact,
            "<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill-opacity=\"{look}/>"
        );
        return;
    }
    let mut path = format!("M{} {}", first.x, first.y);
    for dot in others {
        let _ = write!(path, " {} {}", dot.x, dot.y);
    }
    let diameter = radius.parse::<f64>().unwrap_or_default() * 2.0;
    // A name may occur once in a document, which has many plots. Dots that are alike in places and
    // look share a name.
    let mut name = DefaultHasher::new();
    (&path, first.look).hash(&mut name);
    let name = format!("dot-{:x}", name.finish());
    let _ = writeln!(
        compact,
        "<marker id=\"{name}\" markerUnits=\"userSpaceOnUse\" markerWidth=\"{diameter}\" markerHeight=\"{diameter}\" \
         refX=\"{radius}\" refY=\"{radius}\"><circle cx=\"{radius}\" cy=\"{radius}\" r=\"{radius}\" fill-opacity=\"{look}/></marker>"
    );
    let marks = ["start", "mid", "end"].map(|place| format!(" marker-{place}=\"url(#{name})\""));
    let _ = writeln!(
        compact,
        "<path fill=\"none\"{} d=\"{path}\"/>",
        marks.concat()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_in_a_row_are_one_path_and_defaults_are_left_out() {
        let svg = "<svg>\n\
            <circle cx=\"1\" cy=\"2\" r=\"3\" opacity=\"0.5\" fill=\"red\" stroke=\"none\" stroke-width=\"1\"/>\n\
            <circle cx=\"4\" cy=\"5\" r=\"3\" opacity=\"0.5\" fill=\"red\" stroke=\"none\" stroke-width=\"1\"/>\n\
            <circle cx=\"6\" cy=\"7\" r=\"3\" opacity=\"0.5\" fill=\"blue\" stroke=\"none\" stroke-width=\"1\"/>\n\
            <text x=\"1\" opacity=\"1\">\n&lt;circle opacity=&quot;1&quot;/&gt;\n</text>\n\
            </svg>\n";
        let drawn = compact(svg);
        let name = drawn.split('"').nth(1).unwrap();
        let expected = format!(
            "<svg>\n\
            <marker id=\"{name}\" markerUnits=\"userSpaceOnUse\" markerWidth=\"6\" markerHeight=\"6\" refX=\"3\" refY=\"3\">\
            <circle cx=\"3\" cy=\"3\" r=\"3\" fill-opacity=\"0.5\" fill=\"red\"/></marker>\n\
            <path fill=\"none\" marker-start=\"url(#{name})\" marker-mid=\"url(#{name})\" marker-end=\"url(#{name})\" d=\"M1 2 4 5\"/>\n\
            <circle cx=\"6\" cy=\"7\" r=\"3\" fill-opacity=\"0.5\" fill=\"blue\"/>\n\
            <text x=\"1\">\n&lt;circle opacity=&quot;1&quot;/&gt;\n</text>\n\
            </svg>\n"
        );
        assert_eq!(drawn, expected);
        // Dots at the same places in another colour have another name.
        let other = compact(&svg.replace("red", "green"));
        assert!(!other.contains(name), "{other}");
    }
}
