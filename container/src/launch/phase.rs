//! The phases of a container's start.

/// One phase; a launcher reports the moment each ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// From exec to the launcher's first line.
    Start,
    /// The first process exists, in its namespaces.
    Clone,
    /// The root file system is assembled.
    Mounts,
    /// The root file system is the container's root, and the host's is gone.
    Pivot,
    /// The limits' cgroups exist and are joined.
    Cgroup,
    /// The network is up. Only of a container that has one.
    Network,
    /// No capability is left and the system-call filter is on.
    Seccomp,
    /// A process for the program exists; its `execve` comes next.
    Exec,
}

impl Phase {
    /// All phases, in the order in which they end. Under cgroup v2 the first process is born in its cgroup,
    /// so that there `Cgroup` ends before `Clone`.
    pub const ALL: [Self; 8] = [
        Self::Start,
        Self::Clone,
        Self::Mounts,
        Self::Pivot,
        Self::Cgroup,
        Self::Network,
        Self::Seccomp,
        Self::Exec,
    ];

    /// Its name in a list of marks.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Clone => "clone",
            Self::Mounts => "mounts",
            Self::Cgroup => "cgroup",
            Self::Pivot => "pivot",
            Self::Network => "network",
            Self::Seccomp => "seccomp",
            Self::Exec => "exec",
        }
    }

    /// What happens in it, for a reader of a report.
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
