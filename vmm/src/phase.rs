//! The phases of a start.

/// One phase; a launcher reports the moment each ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// From exec to the launcher's first line.
    Start,
    /// `/dev/kvm` is open and checked.
    OpenKvm,
    /// The VM exists.
    CreateVm,
    /// Guest RAM is mapped and known to KVM.
    Memory,
    /// The vCPU exists.
    Vcpu,
    /// The program, its stack and its registers are in place, and the VMM has confined itself.
    Load,
    /// The guest came out for the first time.
    FirstExit,
    /// The guest wrote to its standard output for the first time.
    Ready,
    /// The guest has ended.
    Exit,
}

impl Phase {
    /// All phases, in order.
    pub const ALL: [Self; 9] = [
        Self::Start,
        Self::OpenKvm,
        Self::CreateVm,
        Self::Memory,
        Self::Vcpu,
        Self::Load,
        Self::FirstExit,
        Self::Ready,
        Self::Exit,
    ];

    /// Its name in a list of marks.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
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

    /// What happens in it, for a reader of a report.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Start => "the kernel starts the launcher",
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
