#![expect(
    unsafe_code,
    reason = "KVM_SET_XSAVE reads a structure of the size that KVM chooses"
)]
//! The floating-point and vector registers of a vCPU, in the layout of the XSAVE instruction
//! (Intel SDM vol. 1, 13.4).

use kvm_bindings::kvm_xsave;
use kvm_ioctls::VcpuFd;

use super::KvmError;

/// The bytes of the state that KVM gives and takes. Only AMX needs more, and no program of this VMM
/// can ask for AMX.
pub(crate) const STATE: usize = 4096;

/// A vCPU's floating-point and vector registers.
#[derive(Debug)]
pub(crate) struct ExtendedState(Box<kvm_xsave>);

impl ExtendedState {
    /// Reads the vCPU's registers.
    pub(super) fn read(vcpu: &VcpuFd) -> Result<Self, KvmError> {
        let state = vcpu
            .get_xsave()
            .map_err(KvmError::from_ioctl("KVM_GET_XSAVE"))?;
        Ok(Self(Box::new(state)))
    }

    /// Sets the vCPU's registers.
    pub(super) fn write(&self, vcpu: &VcpuFd) -> Result<(), KvmError> {
        // SAFETY: KVM reads more than 4096 bytes only for a vCPU with AMX, which takes a request
        // (`ARCH_REQ_XCOMP_GUEST_PERM`) that this VMM never makes.
        unsafe { vcpu.set_xsave(&self.0) }.map_err(KvmError::from_ioctl("KVM_SET_XSAVE"))
    }

    /// The state from its bytes. What is missing is zero.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let mut state = Box::<kvm_xsave>::default();
        for (word, four) in state.region.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = four.first_chunk().copied().map_or(0, u32::from_le_bytes);
        }
        Self(state)
    }

    /// The state's bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.0
            .region
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect()
    }
}
