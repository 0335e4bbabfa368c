//! Tests that skipped themselves: the lab is there to have what hosts lack, so a skip for want of that is a failure. And those
//! that tried again what the emulator may be to blame for.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::plan::Outcome;

/// Precedes the reason on a test's output.
const MARK: &str = "skipped: ";
/// Precedes why a test tried again.
const AGAIN: &str = "tried again: ";
/// What the lab doesn't have either: programs that nobody put there, what QEMU's processor lacks and what Debian's kernel.
const LACKED: [&str; 4] = [
    "is not installed",
    "no C compiler",
    "has no constant rate",
    "tmpfs has no user attributes",
];

/// What skipped itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Skips {
    /// With a reason that holds here.
    pub believed: BTreeSet<String>,
    /// For want of what the lab has.
    pub wrong: BTreeSet<String>,
    /// What didn't skip itself but was done twice, and why.
    pub again: Vec<String>,
}

impl Skips {
    /// Those in the logs of `outcomes`, which are in `directory`.
    pub fn find(outcomes: &[Outcome], directory: &Path) -> Self {
        let mut skips = Self::default();
        for outcome in outcomes {
            let log = directory.join(format!("{}.log", outcome.name));
            // A command has none.
            skips.read(&fs::read_to_string(log).unwrap_or_default());
        }
        skips
    }

    fn read(&mut self, log: &str) {
        let reasons = log.lines().filter_map(|line| line.split_once(MARK));
        for (_, reason) in reasons {
            let believed = LACKED.iter().any(|lacked| reason.contains(lacked));
            let list = if believed {
                &mut self.believed
            } else {
                &mut self.wrong
            };
            list.insert(reason.to_owned());
        }
        let again = log.lines().filter_map(|line| line.split_once(AGAIN));
        self.again.extend(again.map(|(_, why)| why.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_for_want_of_what_the_lab_has_is_told_from_others() {
        let mut skips = Skips::default();
        skips.read("test a ... skipped: umoci is not installed\nskipped: no kernel\nok\nskipped: no kernel\n");
        assert_eq!(
            skips.believed.into_iter().collect::<Vec<_>>(),
            ["umoci is not installed"]
        );
        assert_eq!(skips.wrong.into_iter().collect::<Vec<_>>(), ["no kernel"]);
    }

    #[test]
    fn what_was_done_twice_is_told_each_time() {
        let mut skips = Skips::default();
        skips.read("tried again: a guest was lost\nok\ntried again: a guest was lost\n");
        assert_eq!(skips.again, ["a guest was lost"; 2]);
        assert!(skips.believed.is_empty() && skips.wrong.is_empty());
    }
}
