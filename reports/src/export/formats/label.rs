//! Names from results files, in the labels and names of other programs.

use super::run_id;
use crate::words::text::one_line;

/// Longest text, in characters. A hostile file can't make it longer.
const LONGEST: usize = 200;

/// The text on one line. Texts that would be alike once they are cut stay different.
pub fn label(text: &str) -> String {
    let line = one_line(text, LONGEST);
    if line == text {
        return line;
    }
    format!("{line} {}", run_id::digest(text.as_bytes()))
}
