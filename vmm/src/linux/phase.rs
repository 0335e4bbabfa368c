//! The phases of a Linux guest's start.

/// One phase. A launcher reports the moment at which each phase ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// From exec to the launcher's first line.
    Start,
    /// Until the TAP device is up. A machine without a network has no such phase.
    Network,
    /// Until `/dev/kvm` is open and checked.
    OpenKvm,
    /// Until the VM exists, with its interrupt controllers.
    CreateVm,
    /// Until guest memory is mapped and known to KVM.
    Memory,
    /// Until the vCPUs exist.
    Vcpu,
    /// Until kernel, file system and tables are in place and the VMM has confined itself.
    Load,
    /// Until `/init` has started.
    Kernel,
    /// Until the program has written to its standard output for the first time.
    Ready,
}

impl Phase {
    /// All phases, in order.
    pub const ALL: [Self; 9] = [
        Self::Start,
        Self::Network,
        Self::OpenKvm,
        Self::CreateVm,
        Self::Memory,
        Self::Vcpu,
        Self::Load,
        Self::Kernel,
        Self::Ready,
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
            Self::Kernel => "kernel",
            Self::Ready => "ready",
        }
    }

    /// What happens in the phase, for a reader of a report.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Start => "the kernel starts the launcher",
            Self::Network => "the launcher makes a TAP device, which is the link to the host",
            Self::OpenKvm => "the launcher opens /dev/kvm and checks it",
            Self::CreateVm => "KVM makes an empty virtual machine and its interrupt controllers",
            Self::Memory => "guest memory is reserved and made known to KVM",
            Self::Vcpu => "KVM makes the virtual processors",
            Self::Load => {
                "the guest's kernel and files are copied into its memory; the launcher confines itself with seccomp"
            }
            Self::Kernel => "the guest's kernel boots until it starts /init",
            Self::Ready => "/init mounts and starts the program, until its first output",
        }
    }
}
