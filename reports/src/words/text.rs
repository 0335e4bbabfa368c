//! Text from a results file, made safe for one line of a terminal, a chart or an error.

/// Replaces control characters, which could move a cursor or break a line, and cuts the text off at
/// `limit` characters.
pub fn one_line(text: &str, limit: usize) -> String {
    let mut characters = text.chars().map(|character| {
        if is_unsafe(character) {
            '\u{fffd}'
        } else {
            character
        }
    });
    let mut line: String = characters.by_ref().take(limit).collect();
    if characters.next().is_some() {
        line.pop();
        line.push('…');
    }
    line
}

/// Whether the character controls a terminal, or the direction of the text behind it.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_don_t_reach_the_terminal() {
        assert_eq!(
            one_line("a\u{1b}[31mb\nc\u{202e}", 80),
            "a\u{fffd}[31mb\u{fffd}c\u{fffd}"
        );
        assert_eq!(one_line("microvm-linux", 8), "microvm…");
        assert_eq!(one_line("process", 7), "process");
    }

    proptest! {
        #[test]
        fn nothing_is_longer_than_asked_or_breaks_the_line(text in any::<String>(), limit in 1..40_usize) {
            let line = one_line(&text, limit);
            prop_assert!(line.chars().count() <= limit);
            prop_assert!(!line.chars().any(char::is_control));
        }
    }
}
