//! What the processor says it is, and the register state that it saves.
//!
//! Only for hardware KVM. On the software kind `CPUID` in ring 3 is the host's own, whatever KVM is told, and
//! asking KVM costs a third of a millisecond.

use kvm_bindings::{KVM_MAX_CPUID_ENTRIES, kvm_xcr, kvm_xcrs};
use kvm_ioctls::VcpuFd;

use crate::kvm::{Hypervisor, KvmError};

/// Extended state enumeration (Intel SDM vol. 1, 13.2): EDX:EAX of its first part are the bits XCR0 may have.
const LEAF_EXTENDED_STATE: u32 = 0xd;

/// Bits of XCR0 that a program is given: x87, SSE, AVX, AVX-512 (three) and protection keys. Not AMX, which
/// Linux hands out on request only.
const XCR0_PROGRAM: u64 = 0b10_1110_0111;

/// Gives the vCPU all that the host supports.
pub(crate) fn pass_host(hypervisor: &Hypervisor, vcpu: &VcpuFd) -> Result<(), KvmError> {
    let cpuid = hypervisor
        .device()
        .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
        .map_err(KvmError::from_ioctl("KVM_GET_SUPPORTED_CPUID"))?;
    vcpu.set_cpuid2(&cpuid)
        .map_err(KvmError::from_ioctl("KVM_SET_CPUID2"))?;
    let supported = cpuid
        .as_slice()
        .iter()
        .find(|entry| entry.function == LEAF_EXTENDED_STATE && entry.index == 0)
        .map(|entry| u64::from(entry.edx) << 32 | u64::from(entry.eax));
    match supported.map(|bits| bits & XCR0_PROGRAM) {
        None | Some(0) => Ok(()),
        Some(value) => set_xcr0(vcpu, value),
    }
}

fn set_xcr0(vcpu: &VcpuFd, value: u64) -> Result<(), KvmError> {
    let mut xcrs = kvm_xcrs {
        nr_xcrs: 1,
        ..kvm_xcrs::default()
    };
    xcrs.xcrs[0] = kvm_xcr {
        xcr: 0,
        value,
        ..kvm_xcr::default()
    };
    vcpu.set_xcrs(&xcrs)
        .map_err(KvmError::from_ioctl("KVM_SET_XCRS"))
}
