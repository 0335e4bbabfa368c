//! The processor features of the bare guest's vCPU, and the extended state that the guest may use.
//!
//! This serves hardware KVM alone. On software KVM a `CPUID` in ring 3 gives the host's own
//! answers, whatever KVM is told.

use kvm_bindings::{kvm_xcr, kvm_xcrs};
use kvm_ioctls::VcpuFd;

use super::{Hypervisor, KvmError};

/// `CPUID`'s leaf for extended state (Intel SDM vol. 1, 13.2). EDX and EAX of its first part hold
/// the bits that XCR0 may have.
const LEAF_EXTENDED_STATE: u32 = 0xd;

/// The bits of XCR0 that a program gets: x87, SSE, AVX, AVX-512 (three bits) and protection keys.
/// AMX is not among them: Linux enables AMX only for a program that asks.
const XCR0_PROGRAM: u64 = 0b10_1110_0111;

/// Gives the vCPU all features of the host's processor that KVM supports.
pub(crate) fn pass_host(hypervisor: &Hypervisor, vcpu: &VcpuFd) -> Result<(), KvmError> {
    let cpuid = hypervisor.supported_cpuid()?;
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
