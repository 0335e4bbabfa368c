//! The phases of a container's start.

use strum::{IntoStaticStr, VariantArray};

/// One phase. A launcher reports the moment at which each phase ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Phase {
    /// From the launcher's `execve` to the launcher's first line.
    Start,
    /// Until the first process exists, in its namespaces.
    Clone,
    /// Until the root file system is assembled.
    Mounts,
    /// Until the assembled root is the container's root, and the host's is out of reach.
    Pivot,
    /// Until the cgroups for the limits exist and are joined.
    Cgroup,
    /// Until the network is up. A container without a network has no such phase.
    Network,
    /// Until no capability is left and the system-call filter is on.
    Seccomp,
    /// Until a process for the program exists, whose `execve` comes next.
    Exec,
}

impl Phase {
    /// All phases, in the order in which they end. Under cgroups v2 the first process is born in
    /// its cgroup, so that there `Cgroup` ends before `Clone`.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The phase's name in a list of marks.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// What happens in the phase, for a reader of a report.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Start => "the kernel starts the launcher",
            Self::Clone => {
                "one clone3 makes a process in seven new namespaces; the network namespace is most of it"
            }
            Self::Mounts => "the process assembles its root: overlayfs, /proc, /dev, binds",
            Self::Cgroup => {
                "the launcher makes the cgroups for the limits meanwhile, and the process joins them"
            }
            Self::Network => {
                "what is left of making the link to the host, which the launcher does meanwhile; or the loopback is brought up"
            }
            Self::Pivot => "pivot_root, and the host's file systems are detached",
            Self::Seccomp => "capabilities are dropped and the system-call filter is installed",
            Self::Exec => "PID 1 makes the process that becomes the program",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_results_files_stay() {
        let names: Vec<_> = Phase::ALL.iter().map(|phase| phase.name()).collect();
        assert_eq!(
            names.join(" "),
            "start clone mounts pivot cgroup network seccomp exec"
        );
    }
}
