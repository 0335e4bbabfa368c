//! The processor features of the bare guest's vCPU, and the extended state that the guest may use.
//!
//! On software KVM a `CPUID` in ring 3 gives the host's own answers, or none, whatever KVM is told.
//! All that KVM has to know there is which extended state to give and to take.

use core::arch::x86_64::__cpuid_count;

use kvm_bindings::{CpuId, kvm_cpuid_entry2, kvm_xcr, kvm_xcrs};
use kvm_ioctls::VcpuFd;

use super::{Hypervisor, KvmError};

/// `CPUID`'s leaf for extended state (Intel SDM vol. 1, 13.2). EDX and EAX of its first part hold
/// the bits that XCR0 may have.
const LEAF_EXTENDED_STATE: u32 = 0xd;
/// `KVM_CPUID_FLAG_SIGNIFCANT_INDEX`: an entry is for one part of a leaf.
const HAS_INDEX: u32 = 1;

/// The bits of XCR0 that a program gets, all in EAX: x87, SSE, AVX, AVX-512 (three bits) and protection keys.
/// AMX is not among them: Linux enables AMX only for a program that asks.
const XCR0_PROGRAM: u32 = 0b10_1110_0111;

/// Gives the vCPU all features of the host's processor that KVM supports.
pub(crate) fn pass_host(hypervisor: &Hypervisor, vcpu: &VcpuFd) -> Result<(), KvmError> {
    let cpuid = hypervisor.supported_cpuid()?;
    vcpu.set_cpuid2(&cpuid)
        .map_err(KvmError::from_ioctl("KVM_SET_CPUID2"))?;
    let supported = cpuid
        .as_slice()
        .iter()
        .find(|entry| entry.function == LEAF_EXTENDED_STATE && entry.index == 0)
        .map_or(0, |entry| entry.eax & XCR0_PROGRAM);
    match supported {
        0 => Ok(()),
        bits => set_xcr0(vcpu, bits.into()),
    }
}

/// Lets KVM save and restore all the extended state that a program may use. KVM leaves out what the
/// vCPU's `CPUID` doesn't name (`fpu_copy_guest_fpstate_to_uabi` in `arch/x86/kernel/fpu/core.c`), but on
/// software KVM the program uses what the *host's* names.
pub(crate) fn admit_host_state(vcpu: &VcpuFd) -> Result<(), KvmError> {
    let host = __cpuid_count(LEAF_EXTENDED_STATE, 0);
    let entry = kvm_cpuid_entry2 {
        function: LEAF_EXTENDED_STATE,
        flags: HAS_INDEX,
        eax: host.eax & XCR0_PROGRAM,
        ..kvm_cpuid_entry2::default()
    };
    let table = CpuId::from_entries(&[entry]).expect("one entry fits");
    vcpu.set_cpuid2(&table)
        .map_err(KvmError::from_ioctl("KVM_SET_CPUID2"))
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
