//! The phases of a bare guest's start.

/// One phase. A launcher reports the moment at which each phase ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// From exec to the launcher's first line.
    Start,
    /// Until the TAP device is up. A guest without a network has no such phase.
    Network,
    /// Until `/dev/kvm` is open and checked.
    OpenKvm,
    /// Until the VM exists.
    CreateVm,
    /// Until guest RAM is mapped and known to KVM.
    Memory,
    /// Until the vCPU exists.
    Vcpu,
    /// Until the program, its stack and its registers are in place and the VMM has confined itself.
    Load,
    /// Until the guest has come out for the first time.
    FirstExit,
    /// Until the guest has written to its standard output for the first time.
    Ready,
    /// Until the guest has ended.
    Exit,
}

impl Phase {
    /// All phases, in order.
    pub const ALL: [Self; 10] = [
        Self::Start,
        Self::Network,
        Self::OpenKvm,
        Self::CreateVm,
        Self::Memory,
        Self::Vcpu,
        Self::Load,
        Self::FirstExit,
        Self::Ready,
        Self::Exit,
    ];

    /// The phase's name in a list of marks.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Network => "network",
            Self::OpenKvm => "open-kvm",
            Self::CreateVm => "create-vm",
            Self::Memory => "memory",
            Self::Vcpu => "vcpu",
            Self::Load => "load",
            Self::FirstExit => "first-exit",
            Self::Ready => "ready",
            Self::Exit => "exit",
        }
    }

    /// What happens in the phase, for a reader of a report.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Start => "the kernel starts the launcher",
            Self::Network => "the launcher makes a TAP device, which is the link to the host",
            Self::OpenKvm => "the launcher opens /dev/kvm and checks it",
            Self::CreateVm => "KVM makes an empty virtual machine",
            Self::Memory => "guest memory is reserved and made known to KVM",
            Self::Vcpu => "KVM makes the virtual processor",
            Self::Load => {
                "program, stack and page tables are mapped; the launcher confines itself with seccomp"
            }
            Self::FirstExit => "the guest runs until its first system call",
            Self::Ready => {
                "the program starts up, each system call an exit, until its first output"
            }
            Self::Exit => "the program runs to its end",
        }
    }
}
