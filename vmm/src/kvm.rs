//! The host's KVM: whether it is there, whether we may use it, and of which kind it is.

use std::io;
use std::path::Path;

use kvm_bindings::KVM_API_VERSION;
use kvm_ioctls::{Cap, Kvm, VmFd};

/// Where KVM is found.
const DEVICE: &str = "/dev/kvm";

/// KVM cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KvmError {
    /// No device file.
    #[error(
        "{DEVICE} does not exist: load the kvm module, or enable nested virtualization on the machine below"
    )]
    Missing,
    /// No permission.
    #[error("no permission to open {DEVICE}: join its group (often `kvm`) or run as root")]
    NotPermitted,
    /// The device file is there and cannot be opened.
    #[error("opening {DEVICE}")]
    Open(#[source] io::Error),
    /// A KVM of another age.
    #[error("{DEVICE} speaks API version {found}, not {KVM_API_VERSION}")]
    ApiVersion {
        /// What it said.
        found: i32,
    },
    /// Something needed is missing.
    #[error("{DEVICE} lacks {capability}: a newer kernel is needed")]
    Capability {
        /// Its name in the KVM API.
        capability: &'static str,
    },
    /// A KVM ioctl failed.
    #[error("{ioctl}")]
    Ioctl {
        /// Its name in the KVM API.
        ioctl: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl KvmError {
    /// Says which ioctl an error came from.
    pub(crate) fn from_ioctl(ioctl: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> Self {
        move |error| Self::Ioctl {
            ioctl,
            source: io::Error::from_raw_os_error(error.errno()),
        }
    }
}

/// What runs the guest's ring 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvmKind {
    /// The processor's own virtualization (VMX or SVM).
    Hardware,
    /// A page-table-based KVM ("PVM"): ring 3 runs natively, ring 0 is interpreted, and `SYSCALL` stays in ring 3.
    Software,
}

impl KvmKind {
    /// The host's kind, without a probe VM.
    ///
    /// The kernel's list of modules says it in microseconds; only where that names none is the processor asked
    /// (inside a VM one `CPUID` can cost twelve). A wrong `Hardware` does no harm: the program is stopped at its
    /// first system call.
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

impl std::fmt::Display for KvmKind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Hardware => "hardware",
            Self::Software => "software",
        })
    }
}

/// `/dev/kvm`, open and usable.
#[derive(Debug)]
pub struct Hypervisor {
    kvm: Kvm,
    kind: KvmKind,
}

impl Hypervisor {
    /// Opens `/dev/kvm` and checks what the VMM needs of it.
    ///
    /// # Errors
    /// See [`KvmError`].
    pub fn open() -> Result<Self, KvmError> {
        let kvm = Kvm::new().map_err(|error| open_error(error.errno()))?;
        let found = kvm.get_api_version();
        if i64::from(found) != i64::from(KVM_API_VERSION) {
            return Err(KvmError::ApiVersion { found });
        }
        if !kvm.check_extension(Cap::SyncRegs) {
            let capability = "KVM_CAP_SYNC_REGS";
            return Err(KvmError::Capability { capability });
        }
        let kind = KvmKind::of_host();
        Ok(Self { kvm, kind })
    }

    /// What runs the guest's ring 0.
    pub const fn kind(&self) -> KvmKind {
        self.kind
    }

    /// The device itself.
    pub(crate) const fn device(&self) -> &Kvm {
        &self.kvm
    }

    /// Makes an empty VM. A signal may interrupt the kernel's work (`EINTR`): it is tried again.
    pub(crate) fn create_vm(&self) -> Result<VmFd, KvmError> {
        loop {
            match self.kvm.create_vm() {
                Err(error) if error.errno() == libc::EINTR => {}
                made => return made.map_err(KvmError::from_ioctl("KVM_CREATE_VM")),
            }
        }
    }
}

/// The error for a failed open(2).
fn open_error(errno: i32) -> KvmError {
    match errno {
        libc::ENOENT | libc::ENODEV | libc::ENXIO => KvmError::Missing,
        libc::EACCES | libc::EPERM => KvmError::NotPermitted,
        _ => KvmError::Open(io::Error::from_raw_os_error(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_named_with_its_cure() {
        assert!(
            open_error(libc::ENOENT)
                .to_string()
                .contains("does not exist")
        );
        assert!(open_error(libc::EACCES).to_string().contains("group"));
        assert!(matches!(open_error(libc::EBUSY), KvmError::Open(_)));
    }
}
