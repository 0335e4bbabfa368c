//! Sentences cut into lines of a terminal.

use crate::words::text::one_line;

/// What stands in front of the first line, and in front of all others.
#[derive(Debug, Clone, Copy)]
pub struct Indent<'a> {
    /// In front of the first line.
    pub first: &'a str,
    /// In front of every other line.
    pub rest: &'a str,
}

/// The lines of `text`, each at most `width` characters with its indent, cut at spaces. A word that
/// is longer than a line is cut wherever the line ends.
pub fn wrap(text: &str, indent: Indent<'_>, width: usize) -> Vec<String> {
    let room = |line: &str| width.saturating_sub(length(line)).max(1);
    let text = one_line(text, usize::MAX);
    let mut lines = Vec::new();
    let mut line = indent.first.to_owned();
    let mut is_empty = true;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let gap = usize::from(!is_empty);
        if !is_empty && length(&line) + gap + length(word) > width {
            lines.push(std::mem::replace(&mut line, indent.rest.to_owned()));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        let mut letters = word.chars().peekable();
        while letters.peek().is_some() {
            let fits = room(&line);
            line.extend(letters.by_ref().take(fits));
            if letters.peek().is_some() {
                lines.push(std::mem::replace(&mut line, indent.rest.to_owned()));
            }
        }
        is_empty = false;
    }
    if !is_empty {
        lines.push(line);
    }
    lines
}

/// The first `most` of `lines`; a last line that is followed by others ends in an ellipsis.
pub fn clip(mut lines: Vec<String>, most: usize) -> Vec<String> {
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            last.pop();
            last.push('…');
        }
    }
    lines
}

/// The number of characters of a text.
pub fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BULLET: Indent<'_> = Indent {
        first: "- ",
        rest: "  ",
    };

    #[test]
    fn lines_break_at_spaces_and_long_words_where_the_line_ends() {
        assert_eq!(wrap("one two three", BULLET, 9), ["- one two", "  three"]);
        assert_eq!(wrap("abcdefgh", BULLET, 6), ["- abcd", "  efgh"]);
        assert_eq!(wrap("", BULLET, 9), [""; 0]);
    }

    #[test]
    fn what_is_cut_off_leaves_an_ellipsis() {
        let lines = wrap("one two three", BULLET, 9);
        assert_eq!(clip(lines.clone(), 1), ["- one tw…"]);
        assert_eq!(clip(lines.clone(), 2), lines);
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_asked(text in any::<String>(), width in 3..60_usize) {
            for line in wrap(&text, BULLET, width) {
                prop_assert!(length(&line) <= width, "{line:?}");
            }
        }

        #[test]
        fn no_word_is_lost(words in prop::collection::vec("[a-z]{1,9}", 0..20)) {
            let lines = wrap(&words.join(" "), BULLET, 12);
            let told = lines.join(" ").replace("- ", "");
            prop_assert_eq!(told.split_whitespace().collect::<Vec<_>>(), words);
        }
    }
}
