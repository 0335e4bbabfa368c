//! What a target can do beyond starting, and why another can't.

/// Something that some targets can do and others can't.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// The target runs the program that a launch names.
    RunPrograms,
    /// The target runs programs of images.
    RunImages,
    /// The target gives a program what a kernel gives: disks that can be mapped, several operations at
    /// a time.
    KernelServices,
    /// The program's disk can bypass the host's page cache.
    BypassPageCache,
    /// Another process may trace the target's processes (ptrace(2)).
    BeTraced,
    /// The end of the launcher's standard input reaches the program.
    PassEndOfInput,
    /// The command that starts an instance waits for the program, so the kernel adds the program's
    /// processor time to the command's (wait4(2)).
    WaitForProgram,
    /// The command that starts an instance fails if the program fails.
    PassFailure,
    /// The target enforces [`ResourceLimits`](super::resource_limits::ResourceLimits).
    LimitResources,
    /// The target passes descriptors above standard error on to the program.
    PassDescriptors,
    /// The target can start an instance with less than all of a container's mechanisms.
    LeaveOutMechanisms,
    /// The target makes its root of layers, so a launch can add a layer and a scratch directory.
    StackLayers,
    /// All files of the target's instances lie where the harness can add up their sizes.
    ExposeFiles,
    /// The target reports how often its guest left the virtual machine, and why.
    CountExits,
    /// A program can leave the target's virtual machine on purpose, so the cost of an exit can be
    /// measured.
    ExitOnPurpose,
    /// The launcher can set all up, and start the program only when the harness says so.
    HoldBeforeProgram,
    /// The launcher can stop a program where it first asks for input, and clone it with all that is
    /// around it.
    CloneWhole,
    /// The launcher can write a program that it has stopped so to a file, and let it go on from there.
    KeepSnapshots,
}

impl Capability {
    /// Why a target lacks this capability. The subject of the sentence is the target.
    pub(super) const fn reason_for_absence(self) -> &'static str {
        match self {
            Self::RunPrograms => {
                "it runs no program: it is ready at the virtual machine's first exit"
            }
            Self::RunImages => "isobench gives it a static program alone, no image",
            Self::KernelServices => {
                "it has no kernel that could map a disk or have several operations under way"
            }
            Self::BypassPageCache => "its disk always goes through the host's page cache",
            Self::BeTraced => {
                "it traces its guest's processes itself, and a process has one tracer"
            }
            Self::PassEndOfInput => "its guest's standard input never ends",
            Self::WaitForProgram => {
                "its command doesn't wait for the program, so the kernel tells nobody how much \
                 processor time the program took"
            }
            Self::PassFailure => "its command succeeds also if the program fails",
            Self::LimitResources => "its interface has no such limit",
            Self::PassDescriptors => {
                "it passes no descriptors on beside the three standard streams"
            }
            Self::LeaveOutMechanisms => "its interface has all mechanisms or none",
            Self::StackLayers => "its root is one directory or one disk, without layers",
            Self::ExposeFiles => {
                "a daemon or a store of its own keeps files whose sizes can't be added up"
            }
            Self::CountExits => "it doesn't report the exits of a virtual machine",
            Self::ExitOnPurpose => "no program in it can leave a virtual machine on purpose",
            Self::HoldBeforeProgram => {
                "its command can't set all up and then wait with the program's start"
            }
            Self::KeepSnapshots => "it can't write a running program to a file and restore it",
            Self::CloneWhole => "it can't clone a running program with all that is around it",
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u16
    }
}

/// A set of capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities(u32);

impl Capabilities {
    /// No capability.
    pub const NONE: Self = Self(0);

    /// The capabilities of nearly every peer.
    pub const OF_MOST_PEERS: Self = Self::NONE
        .with(Capability::RunPrograms)
        .with(Capability::KernelServices)
        .with(Capability::BypassPageCache)
        .with(Capability::BeTraced)
        .with(Capability::PassEndOfInput)
        .with(Capability::WaitForProgram)
        .with(Capability::PassFailure);

    /// The capabilities of a target whose instances can have an image's files as root.
    pub const OF_RUNTIMES_OF_IMAGES: Self = Self::OF_MOST_PEERS.with(Capability::RunImages);

    /// The same, of a runtime that passes descriptors on.
    pub const OF_RUNTIMES_WITH_DESCRIPTORS: Self =
        Self::OF_RUNTIMES_OF_IMAGES.with(Capability::PassDescriptors);

    /// The set with `capability` added.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | capability.bit())
    }

    /// The set with `capability` taken out.
    #[must_use]
    pub const fn without(self, capability: Capability) -> Self {
        Self(self.0 & !capability.bit())
    }

    /// Whether `capability` is in the set.
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & capability.bit() != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_added_and_not_taken_out() {
        let set = Capabilities::OF_RUNTIMES_OF_IMAGES.without(Capability::WaitForProgram);
        assert!(set.contains(Capability::RunImages) && set.contains(Capability::PassFailure));
        assert!(!set.contains(Capability::WaitForProgram));
        assert!(!set.contains(Capability::ExitOnPurpose));
        assert_eq!(
            set.with(Capability::WaitForProgram),
            Capabilities::OF_RUNTIMES_OF_IMAGES
        );
    }
}
