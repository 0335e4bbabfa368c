//! Which kind of KVM the host has: one by the processor's virtualization, or one in software.

use std::fmt;
use std::path::Path;

/// What runs the guest's ring 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvmKind {
    /// The processor's own virtualization (VMX or SVM) runs ring 0.
    Hardware,
    /// KVM interprets ring 0, with page tables alone as isolation ("PVM"). Ring 3 runs natively,
    /// and a `SYSCALL` instruction stays in ring 3.
    Software,
}

impl KvmKind {
    /// The host's kind, found without a probe VM.
    ///
    /// The kernel's list of modules gives the answer within microseconds. Only if the list names
    /// no module of KVM is the processor asked, since one `CPUID` inside a VM can cost 12 µs. A
    /// wrong `Hardware` does no harm: the program is stopped at its first system call.
    pub fn of_host() -> Self {
        let module = |name: &str| Path::new("/sys/module").join(name).exists();
        if module("kvm_intel") || module("kvm_amd") {
            Self::Hardware
        } else if module("kvm_pvm") || !processor_virtualizes() {
            Self::Software
        } else {
            Self::Hardware
        }
    }
}

/// Whether the processor shows VMX or SVM.
fn processor_virtualizes() -> bool {
    let cpuid = raw_cpuid::CpuId::new();
    let vmx = cpuid.get_feature_info().is_some_and(|info| info.has_vmx());
    let svm = cpuid
        .get_extended_processor_and_feature_identifiers()
        .is_some_and(|info| info.has_svm());
    vmx || svm
}

impl fmt::Display for KvmKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Hardware => "hardware",
            Self::Software => "software",
        })
    }
}
