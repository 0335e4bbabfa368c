//! Drawings without what needn't be said: thousands of dots make most of a long run's document.

use std::fmt::Write as _;

/// What the plotting library writes although it's the default.
const DEFAULTS: [&str; 3] = [" opacity=\"1\"", " stroke=\"none\"", " stroke-width=\"1\""];

/// The same drawing with less text: dots in a row share their style, and defaults are left out.
///
/// The library writes an element a line and escapes what is text, so no text is taken for either.
pub fn compact(svg: &str) -> String {
    let mut compact = String::with_capacity(svg.len());
    let mut style_of_row = None;
    for line in svg.lines() {
        let dot = dot(line);
        let style = dot.map(|(_, style)| style);
        if style != style_of_row {
            if style_of_row.is_some() {
                compact.push_str("</g>\n");
            }
            if let Some(style) = style {
                // Of each dot, as the opacity of a group would be of all dots together.
                let _ = write!(compact, "<g fill-opacity=\"{style}>");
            }
            style_of_row = style;
        }
        let _ = match dot {
            Some((dot, _)) => write!(compact, "{dot}/>"),
            None => writeln!(compact, "{line}"),
        };
    }
    DEFAULTS
        .iter()
        .fold(compact, |svg, default| svg.replace(default, ""))
}

/// A dot without its style, and that from the value of its opacity on.
fn dot(line: &str) -> Option<(&str, &str)> {
    let dot = line.strip_suffix("/>")?.split_once(" opacity=\"")?;
    line.starts_with("<circle ").then_some(dot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_in_a_row_share_their_style_and_defaults_are_left_out() {
        let svg = "<svg>\n\
            <circle cx=\"1\" cy=\"2\" r=\"3\" opacity=\"0.5\" fill=\"red\" stroke=\"none\" stroke-width=\"1\"/>\n\
            <circle cx=\"4\" cy=\"5\" r=\"3\" opacity=\"0.5\" fill=\"red\" stroke=\"none\" stroke-width=\"1\"/>\n\
            <circle cx=\"6\" cy=\"7\" r=\"3\" opacity=\"0.5\" fill=\"blue\" stroke=\"none\" stroke-width=\"1\"/>\n\
            <text x=\"1\" opacity=\"1\">\n&lt;circle opacity=&quot;1&quot;/&gt;\n</text>\n\
            </svg>\n";
        let expected = "<svg>\n\
            <g fill-opacity=\"0.5\" fill=\"red\"><circle cx=\"1\" cy=\"2\" r=\"3\"/><circle cx=\"4\" cy=\"5\" r=\"3\"/></g>\n\
            <g fill-opacity=\"0.5\" fill=\"blue\"><circle cx=\"6\" cy=\"7\" r=\"3\"/></g>\n\
            <text x=\"1\">\n&lt;circle opacity=&quot;1&quot;/&gt;\n</text>\n\
            </svg>\n";
        assert_eq!(compact(svg), expected);
    }
}
