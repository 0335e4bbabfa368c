//! The lines that tests print and that `cargo xtask lab` reads in their logs.

use std::fmt;

use crate::Need;

/// Stands before the reason of a second try.
const AGAIN: &str = "tried again: ";

/// A test's line about why it skipped itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skip {
    /// The tag of the need that the host didn't meet.
    pub tag: String,
    /// What the test found, in words.
    pub why: String,
}

impl Skip {
    /// The line of a test that found `need` missing.
    pub fn new(need: Need, why: impl fmt::Display) -> Self {
        Self {
            tag: need.tag(),
            why: one_line(why),
        }
    }

    /// The skip that a line of a log tells. A test framework may have written before it.
    pub fn in_line(line: &str) -> Option<Self> {
        let (_, rest) = line.split_once("skipped[")?;
        let (tag, why) = rest.split_once("]: ")?;
        Some(Self {
            tag: tag.to_owned(),
            why: why.to_owned(),
        })
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "skipped[{}]: {}", self.tag, self.why)
    }
}

/// The line about a second try.
pub(crate) fn again(why: impl fmt::Display) -> String {
    format!("{AGAIN}{}", one_line(why))
}

/// The reason of a second try that a line of a log tells.
pub fn again_in(line: &str) -> Option<&str> {
    line.split_once(AGAIN).map(|(_, why)| why)
}

fn one_line(why: impl fmt::Display) -> String {
    why.to_string().trim().replace('\n', "; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_is_read_as_it_was_written() {
        for need in [Need::Kvm, Need::Program("mkfs.ext4")] {
            let skip = Skip::new(need, "not [here]: gone");
            assert_eq!(Skip::in_line(&format!("test a ... {skip}")), Some(skip));
        }
    }

    #[test]
    fn a_skip_is_one_line_and_begins_with_its_tag() {
        let skip = Skip::new(Need::Program("cc"), " first\nsecond\n");
        assert_eq!(skip.to_string(), "skipped[program:cc]: first; second");
    }

    #[test]
    fn other_lines_tell_no_skip() {
        for line in ["", "test a ... ok", "skipped: the old way", "skipped[kvm]"] {
            assert_eq!(Skip::in_line(line), None, "{line}");
        }
    }

    #[test]
    fn a_second_try_is_read_as_it_was_written() {
        assert_eq!(
            again_in(&again("a guest was lost\n")),
            Some("a guest was lost")
        );
        assert_eq!(again_in("test a ... ok"), None);
    }
}
