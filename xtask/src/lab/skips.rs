//! Tests that skipped themselves in the lab, and tests that tried again. The lab is there to have
//! what hosts lack, so a test that skips itself for want of that has failed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use isobench_testing::{Need, Skip, again_in};

use crate::plan::Outcome;

/// What QEMU's processor, Debian's kernel and the lab's shell don't have. The lab doesn't have
/// every program either.
const LACKED: [Need; 3] = [
    Need::ConstantCounter,
    Need::TmpfsAttributes,
    Need::DynamicShell,
];

/// What tests in the lab said of themselves.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Skips {
    /// Tests skipped themselves for want of what the lab doesn't have.
    pub believed: BTreeSet<Skip>,
    /// Tests skipped themselves although the lab has what they need.
    pub wrong: BTreeSet<Skip>,
    /// Why tests did something twice, each time that one did.
    pub again: Vec<String>,
}

impl Skips {
    /// Reads the logs of `outcomes`, which are in `directory`.
    pub fn find(outcomes: &[Outcome], directory: &Path) -> Self {
        let mut skips = Self::default();
        for outcome in outcomes {
            let log = directory.join(format!("{}.log", outcome.name));
            // A command that the user gave has no log.
            skips.read(&fs::read_to_string(log).unwrap_or_default());
        }
        skips
    }

    fn read(&mut self, log: &str) {
        for skip in log.lines().filter_map(Skip::in_line) {
            let list = if is_lacked(&skip.tag) {
                &mut self.believed
            } else {
                &mut self.wrong
            };
            list.insert(skip);
        }
        let again = log.lines().filter_map(again_in);
        self.again.extend(again.map(str::to_owned));
    }
}

fn is_lacked(tag: &str) -> bool {
    tag.starts_with("program:") || LACKED.iter().any(|need| need.tag() == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whys(skips: &BTreeSet<Skip>) -> Vec<&str> {
        skips.iter().map(|skip| skip.why.as_str()).collect()
    }

    #[test]
    fn a_skip_for_want_of_what_the_lab_has_is_told_from_others() {
        let lines = [
            Skip::new(Need::Program("umoci"), "no umoci").to_string(),
            format!("test a ... {}", Skip::new(Need::GuestKernel, "no kernel")),
            Skip::new(Need::ConstantCounter, "its rate varies").to_string(),
            "ok".to_owned(),
            Skip::new(Need::GuestKernel, "no kernel").to_string(),
        ];
        let mut skips = Skips::default();
        skips.read(&lines.join("\n"));
        assert_eq!(whys(&skips.believed), ["its rate varies", "no umoci"]);
        assert_eq!(whys(&skips.wrong), ["no kernel"]);
    }

    #[test]
    fn what_was_done_twice_is_told_each_time() {
        let mut skips = Skips::default();
        skips.read("tried again: a guest was lost\nok\ntried again: a guest was lost\n");
        assert_eq!(skips.again, ["a guest was lost"; 2]);
        assert_eq!(skips.believed, BTreeSet::new());
        assert_eq!(skips.wrong, BTreeSet::new());
    }
}
