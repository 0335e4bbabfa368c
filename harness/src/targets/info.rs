//! The description of a target as plain data: its name, its place on the ladder, what the target
//! can do and what it can't.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use isobench_container::Network;
use isobench_reports::model::{Part, TargetFamily, TargetKind};

use super::capability::{Capabilities, Capability};

/// The description of a target. No part of the description depends on the host.
#[derive(Debug, Clone)]
pub struct TargetInfo {
    /// The target's name, as in results files. The name doesn't change between versions.
    pub name: &'static str,
    /// A sentence that says what the target adds to a bare process.
    pub description: &'static str,
    /// The target's place on the ladder.
    pub kind: TargetKind,
    /// The target's kind of isolation.
    pub family: TargetFamily,
    /// How soon an instance is ready. A run that names no targets measures quick targets alone.
    pub pace: Pace,
    /// The phases that the launcher marks, in order. Empty if the launcher marks none.
    pub phases: Vec<Part>,
    /// The name of the floor that this target is compared with, beside the bare process.
    pub floor: Option<&'static str>,
    /// Whether the target's processor is a program, which takes tens of times longer than a processor.
    pub emulated: bool,
    /// The differences between a peer and isobench's container, a short sentence each.
    pub differences: &'static [&'static str],
    /// The same differences of a target that is prepared with an image, in place of
    /// `differences`.
    pub image_differences: &'static [&'static str],
    /// What programs can't do in the target, a short sentence each.
    pub limits: &'static [&'static str],
    /// The experiments that make sense for the target.
    pub participation: Participation,
    /// What the target can do beyond starting.
    pub capabilities: Capabilities,
    /// What arguments and variables of a program can hold.
    pub text: Text,
    /// The networks that an instance can have. The first is the default.
    pub networks: &'static [Network],
    /// How the target limits a program's memory; `None` if the target can't.
    pub memory_limit: Option<MemoryLimit>,
    /// The path inside of the launch's disk file.
    pub disk: InsidePath,
    /// The path inside of the launch's directory for files; `None` if the target can't give a
    /// program a directory.
    pub files: Option<InsidePath>,
}

impl TargetInfo {
    /// A target that runs programs with the services of a kernel. All else has the least value.
    pub fn new(
        kind: TargetKind,
        family: TargetFamily,
        name: &'static str,
        description: &'static str,
    ) -> Self {
        Self {
            name,
            description,
            kind,
            family,
            pace: Pace::Quick,
            phases: Vec::new(),
            floor: None,
            emulated: false,
            differences: &[],
            image_differences: &[],
            limits: &[],
            participation: Participation::InAll,
            capabilities: Capabilities::OF_MOST_PEERS,
            text: Text::Bytes,
            networks: &[Network::None],
            memory_limit: None,
            disk: InsidePath::SameAsOnHost,
            files: None,
        }
    }

    /// A target that is a runtime of other people.
    pub fn peer(family: TargetFamily, name: &'static str, description: &'static str) -> Self {
        Self::new(TargetKind::Peer, family, name, description)
    }

    /// Whether the target has `capability`.
    pub fn can(&self, capability: Capability) -> bool {
        self.capabilities.contains(capability)
    }

    /// Why the target lacks `capability`; `None` if the target has it.
    pub fn why_not(&self, capability: Capability) -> Option<&'static str> {
        (!self.can(capability)).then(|| capability.reason_for_absence())
    }

    /// Why the target can't pass all of `words`, which are arguments and variables of a program;
    /// `None` if it can.
    pub fn why_not_words<'w>(
        &self,
        words: impl IntoIterator<Item = &'w OsString>,
    ) -> Option<String> {
        let mut words = words.into_iter();
        let word = words.find(|word| self.text == Text::Utf8 && word.to_str().is_none())?;
        Some(format!(
            "its configuration holds only UTF-8, which {} is not",
            word.as_encoded_bytes().escape_ascii()
        ))
    }

    /// Whether `experiment` makes sense for the target.
    pub fn takes_part_in(&self, experiment: &str) -> bool {
        self.why_not_in(experiment).is_none()
    }

    /// Why `experiment` makes no sense for the target; `None` if the experiment makes sense.
    pub fn why_not_in(&self, experiment: &str) -> Option<&'static str> {
        match &self.participation {
            Participation::InAll => None,
            Participation::OnlyIn {
                experiments,
                reason,
            } => (!experiments.contains(&experiment)).then_some(*reason),
            Participation::NotIn {
                experiments,
                reason,
            } => experiments.contains(&experiment).then_some(*reason),
        }
    }
}

/// How soon an instance of a target is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// An instance is ready within some 50 ms. A run that names no targets measures the target.
    Quick,
    /// An instance takes longer. A run measures the target only if the run names the target.
    Slow,
}

/// The experiments that make sense for a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Participation {
    /// All experiments make sense.
    InAll,
    /// These experiments alone make sense.
    OnlyIn {
        /// The names of the experiments.
        experiments: &'static [&'static str],
        /// Why all other experiments make no sense.
        reason: &'static str,
    },
    /// All experiments but these make sense.
    NotIn {
        /// The names of the experiments.
        experiments: &'static [&'static str],
        /// Why these experiments make no sense.
        reason: &'static str,
    },
}

/// What arguments and variables of a program can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// All bytes but zero, as execve(2) has it.
    Bytes,
    /// UTF-8, as JSON has it. podman and docker would silently pass U+FFFD for what isn't UTF-8.
    Utf8,
}

/// How a target limits a program's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryLimit {
    /// A cgroup has the limit.
    Cgroup,
    /// The guest's memory has the size of the limit.
    GuestMemory,
}

/// The path inside an instance of a file or directory of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsidePath {
    /// The path inside is the path on the host.
    SameAsOnHost,
    /// The path inside is this one.
    At(&'static str),
}

impl InsidePath {
    /// The path inside of the file whose path on the host is `on_host`.
    pub fn path(self, on_host: &Path) -> PathBuf {
        match self {
            Self::SameAsOnHost => on_host.to_owned(),
            Self::At(inside) => inside.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn participation_tells_which_experiments_make_sense() {
        let mut info = TargetInfo::peer(TargetFamily::Container, "fake", "A fake.");
        assert!(info.takes_part_in("memory"));
        info.participation = Participation::NotIn {
            experiments: &["memory"],
            reason: "it has none",
        };
        assert_eq!(info.why_not_in("memory"), Some("it has none"));
        assert!(info.takes_part_in("startup"));
        info.participation = Participation::OnlyIn {
            experiments: &["startup"],
            reason: "it only starts",
        };
        assert_eq!(info.why_not_in("memory"), Some("it only starts"));
        assert!(info.takes_part_in("startup"));
    }

    #[test]
    fn a_missing_capability_has_a_reason() {
        let info = TargetInfo::peer(TargetFamily::Container, "fake", "A fake.");
        assert_eq!(info.why_not(Capability::RunPrograms), None);
        let reason = info.why_not(Capability::RunImages).unwrap();
        assert!(reason.contains("no image"), "{reason}");
    }
}
