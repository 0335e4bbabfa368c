//! A target described as plain data: its name, its place on the ladder, what it can do and what it can't.

use std::path::{Path, PathBuf};

use isobench_container::Network;
use isobench_reports::model::{Part, TargetFamily, TargetKind};

/// A target, described. Nothing in here depends on the host.
#[derive(Debug, Clone)]
pub struct TargetInfo {
    /// Stable name, as in results files.
    pub name: &'static str,
    /// One sentence: what the target adds to a bare process.
    pub description: &'static str,
    /// The target's place on the ladder.
    pub kind: TargetKind,
    /// What kind of isolation the target is.
    pub family: TargetFamily,
    /// Whether a run that names no targets measures this one.
    pub pace: Pace,
    /// The phases that the launcher marks, in order; empty if the launcher marks none.
    pub phases: Vec<Part>,
    /// Name of the target that does a part of what this one does, beside the bare process.
    pub floor: Option<&'static str>,
    /// What a peer does otherwise than isobench's container, a short sentence each.
    pub differences: &'static [&'static str],
    /// The experiments that can be asked of the target.
    pub participation: Participation,
    /// What the target can do beyond starting.
    pub capabilities: &'static [Capability],
    /// The networks that an instance can have; the first is the usual one.
    pub networks: &'static [Network],
    /// How the target holds a program to a limit of memory, if it can.
    pub memory_limit: Option<MemoryLimit>,
    /// Where a program finds the disk file of its launch.
    pub disk: Place,
    /// Where a program finds the directory of its launch; none if the target can't give it one.
    pub files: Option<Place>,
}

impl TargetInfo {
    /// A target that runs programs with the services of a kernel, and has nothing else to offer.
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
            differences: &[],
            participation: Participation::InAll,
            capabilities: Capability::OF_A_PEER,
            networks: &[Network::None],
            memory_limit: None,
            disk: Place::AsOnHost,
            files: None,
        }
    }

    /// A runtime that people use.
    pub fn peer(family: TargetFamily, name: &'static str, description: &'static str) -> Self {
        Self::new(TargetKind::Peer, family, name, description)
    }

    /// Whether the target can do this.
    pub fn can(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }

    /// Why the target can't do this, if so.
    pub fn why_not(&self, capability: Capability) -> Option<&'static str> {
        (!self.can(capability)).then(|| capability.absence())
    }

    /// Whether `experiment` can be asked of the target.
    pub fn takes_part_in(&self, experiment: &str) -> bool {
        self.why_not_in(experiment).is_none()
    }

    /// Why `experiment` can't be asked of the target, if so.
    pub fn why_not_in(&self, experiment: &str) -> Option<&'static str> {
        match &self.participation {
            Participation::InAll => None,
            Participation::OnlyIn { experiments, why } => {
                (!experiments.contains(&experiment)).then_some(*why)
            }
            Participation::NotIn { experiments, why } => {
                experiments.contains(&experiment).then_some(*why)
            }
        }
    }
}

/// How soon an instance of a target is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Within some 50 ms: a run that names no targets measures the target.
    Quick,
    /// Later: a run measures the target only if it is named.
    Slow,
}

/// The experiments that can be asked of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Participation {
    /// Every experiment.
    InAll,
    /// These experiments alone.
    OnlyIn {
        /// Names of the experiments.
        experiments: &'static [&'static str],
        /// Why no others.
        why: &'static str,
    },
    /// Every experiment but these.
    NotIn {
        /// Names of the experiments.
        experiments: &'static [&'static str],
        /// Why not these.
        why: &'static str,
    },
}

/// Something that some targets can do and others can't.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Runs the program that a launch names.
    RunPrograms,
    /// Runs programs of images.
    RunImages,
    /// Gives a program what a kernel gives: threads, mapped files.
    KernelServices,
    /// Tells a program that the launcher's standard input has ended.
    TellEndOfInput,
    /// Holds a program to the limits of a [`Bounds`](super::bounds::Bounds).
    KeepBounds,
    /// Starts with less than all of a container's mechanisms.
    LeaveOutMechanisms,
    /// Makes its root of layers, so that a launch can add a layer and a scratch directory.
    StackLayers,
    /// Keeps every file of its instances where the harness can add the files up.
    ShowFiles,
    /// Tells how often its guest left the virtual machine, and why.
    CountExits,
    /// Runs a program that leaves the virtual machine on purpose, so that an exit has a price.
    PriceExits,
}

impl Capability {
    /// What nearly every peer can do.
    const OF_A_PEER: &[Self] = &[
        Self::RunPrograms,
        Self::KernelServices,
        Self::TellEndOfInput,
    ];

    /// What is missing in a target without this capability.
    const fn absence(self) -> &'static str {
        match self {
            Self::RunPrograms => {
                "it runs no program: it is ready at the virtual machine's first exit"
            }
            Self::RunImages => "isobench gives it a static program alone, no image",
            Self::KernelServices => {
                "it has no kernel that could give a program threads or mapped files"
            }
            Self::TellEndOfInput => "its guest's standard input never ends",
            Self::KeepBounds => "its interface has no such limit",
            Self::LeaveOutMechanisms => "its interface has all mechanisms or none",
            Self::StackLayers => "its root is one directory or one disk, without layers",
            Self::ShowFiles => "a daemon or a store of its own keeps files that can't be added up",
            Self::CountExits => "it doesn't tell the exits of a virtual machine",
            Self::PriceExits => "no program in it can leave a virtual machine on purpose",
        }
    }
}

/// How a target holds a program to a limit of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryLimit {
    /// By a cgroup's limit.
    Cgroup,
    /// By the size of the guest's memory.
    GuestMemory,
}

/// Where a program finds a file or directory of the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At the path that it has on the host.
    AsOnHost,
    /// At this path.
    At(&'static str),
}

impl Place {
    /// The path inside of what is at `on_host` outside.
    pub fn path(self, on_host: &Path) -> PathBuf {
        match self {
            Self::AsOnHost => on_host.to_owned(),
            Self::At(inside) => inside.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_takes_part_in_what_it_names() {
        let mut info = TargetInfo::peer(TargetFamily::Container, "fake", "A fake.");
        assert!(info.takes_part_in("memory"));
        info.participation = Participation::NotIn {
            experiments: &["memory"],
            why: "it has none",
        };
        assert_eq!(info.why_not_in("memory"), Some("it has none"));
        assert!(info.takes_part_in("startup"));
        info.participation = Participation::OnlyIn {
            experiments: &["startup"],
            why: "it only starts",
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
