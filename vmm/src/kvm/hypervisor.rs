//! `/dev/kvm`: whether the device is there, whether this process may use it, and its first ioctls.

use std::io;

use kvm_bindings::{CpuId, KVM_API_VERSION, KVM_MAX_CPUID_ENTRIES};
use kvm_ioctls::{Cap, Kvm, VmFd};

use super::KvmKind;

/// The path of KVM's device.
const DEVICE: &str = "/dev/kvm";

/// KVM cannot be used, or refused a call.
#[derive(Debug, thiserror::Error)]
pub enum KvmError {
    /// There is no device file.
    #[error(
        "{DEVICE} does not exist: load the kvm module, or enable nested virtualization on the machine below"
    )]
    Missing,
    /// This process has no permission to open the device.
    #[error("no permission to open {DEVICE}: join its group (often `kvm`) or run as root")]
    NotPermitted,
    /// The device file is there and cannot be opened.
    #[error("opening {DEVICE}")]
    Open(#[source] io::Error),
    /// The device has another version of the KVM API.
    #[error("{DEVICE} speaks API version {found}, not {KVM_API_VERSION}")]
    ApiVersion {
        /// The version that the device reported.
        found: i32,
    },
    /// The device lacks a capability that the VMM needs.
    #[error("{DEVICE} lacks {capability}: a newer kernel is needed")]
    Capability {
        /// The capability's name in the KVM API.
        capability: &'static str,
    },
    /// A KVM ioctl failed.
    #[error("{ioctl}")]
    Ioctl {
        /// The ioctl's name in the KVM API.
        ioctl: &'static str,
        /// The host's answer.
        #[source]
        source: io::Error,
    },
}

impl KvmError {
    /// Gives a function that turns an error of kvm-ioctls into one that names `ioctl`.
    pub(crate) fn from_ioctl(ioctl: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> Self {
        move |error| Self::Ioctl {
            ioctl,
            source: io::Error::from_raw_os_error(error.errno()),
        }
    }
}

/// `/dev/kvm`, open and usable.
#[derive(Debug)]
pub struct Hypervisor {
    kvm: Kvm,
    kind: KvmKind,
}

impl Hypervisor {
    /// Opens `/dev/kvm` and checks what the VMM needs of the device.
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

    /// Whether KVM has the optional feature `capability`.
    pub(crate) fn has(&self, capability: Cap) -> bool {
        self.kvm.check_extension(capability)
    }

    /// The host's processor as KVM can show it to a guest.
    ///
    /// The ioctl takes a third of a millisecond on software KVM.
    pub(crate) fn supported_cpuid(&self) -> Result<CpuId, KvmError> {
        self.kvm
            .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
            .map_err(KvmError::from_ioctl("KVM_GET_SUPPORTED_CPUID"))
    }

    /// Makes an empty VM. If a signal interrupts the kernel's work (`EINTR`), the call is repeated.
    pub(crate) fn create_vm(&self) -> Result<VmFd, KvmError> {
        loop {
            match self.kvm.create_vm() {
                Err(error) if error.errno() == libc::EINTR => {}
                made => return made.map_err(KvmError::from_ioctl("KVM_CREATE_VM")),
            }
        }
    }
}

/// The error for a failed open(2) of the device.
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
