//! The phases of a guest's start.

/// One phase. A launcher reports the moment at which each phase ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// From exec to the launcher's first line.
    Start,
    /// Until the TAP device is up. A guest without a network has no such phase.
    Network,
    /// Until the kernel's program is executed, in its namespaces and with its files.
    Load,
    /// Until `/init` has started.
    Kernel,
    /// Until the program has written to its standard output for the first time.
    Ready,
}

impl Phase {
    /// All phases, in order.
    pub const ALL: [Self; 5] = [
        Self::Start,
        Self::Network,
        Self::Load,
        Self::Kernel,
        Self::Ready,
    ];

    /// The phase's name in a list of marks.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Network => "network",
            Self::Load => "load",
            Self::Kernel => "kernel",
            Self::Ready => "ready",
        }
    }

    /// What happens in the phase, for a reader of a report.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Start => "the host's kernel starts the launcher",
            Self::Network => "the launcher makes a TAP device, which is the link to the host",
            Self::Load => {
                "the launcher makes namespaces, writes the guest's files to memory, and executes the guest's kernel"
            }
            Self::Kernel => "the guest's kernel boots until it starts /init",
            Self::Ready => "/init mounts and starts the program, until its first output",
        }
    }
}
