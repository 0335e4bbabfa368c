//! The VMM's own seccomp filter: once the guest runs, the VMM can do little more than serve it.
//!
//! A confined VMM can open nothing, start nothing and connect to nothing, and it can map no memory
//! that can be executed. A guest that takes over the VMM gains the descriptors that were open, and
//! the calls that its [`Allowed`] lists.

use std::collections::BTreeMap;

use kvm_bindings::{
    KVMIO, kvm_cpuid2, kvm_msrs, kvm_regs, kvm_sregs, kvm_userspace_memory_region, kvm_xcrs,
    kvm_xsave,
};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter, apply_filter_all_threads,
};

/// The filter could not be made or installed.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// A rule is impossible.
    #[error("compiling the seccomp filter")]
    Compile(#[from] BackendError),
    /// The kernel refused the filter.
    #[error("installing the seccomp filter")]
    Install(#[from] seccompiler::Error),
}

/// The calls of the allocator, the address space and the standard library. Every confined thread
/// that runs a guest makes them.
pub(crate) const RUNTIME_CALLS: [i64; 10] = [
    libc::SYS_madvise,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_brk,
    // The size of a file that is mapped.
    libc::SYS_statx,
    libc::SYS_close,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    // The standard library makes this call on its way out.
    libc::SYS_sigaltstack,
    libc::SYS_exit_group,
];

/// Calls whose third argument is a protection, which must not hold `PROT_EXEC`.
const MAPPING_CALLS: [i64; 2] = [libc::SYS_mmap, libc::SYS_mprotect];

const WRITE: u64 = 1;
const READ: u64 = 2;

// Ioctls of a vCPU (`linux/kvm.h`).
pub(crate) const KVM_RUN: u64 = kvm_ioctl(0, 0x80, 0);
pub(crate) const KVM_GET_REGS: u64 = kvm_ioctl(READ, 0x81, size_of::<kvm_regs>() as u64);
pub(crate) const KVM_GET_SREGS: u64 = kvm_ioctl(READ, 0x83, size_of::<kvm_sregs>() as u64);
pub(crate) const KVM_SET_SREGS: u64 = kvm_ioctl(WRITE, 0x84, size_of::<kvm_sregs>() as u64);
pub(crate) const KVM_SET_MSRS: u64 = kvm_ioctl(WRITE, 0x89, size_of::<kvm_msrs>() as u64);
pub(crate) const KVM_GET_XSAVE: u64 = kvm_ioctl(READ, 0xa4, size_of::<kvm_xsave>() as u64);
pub(crate) const KVM_SET_XSAVE: u64 = kvm_ioctl(WRITE, 0xa5, size_of::<kvm_xsave>() as u64);

// Ioctls by which a VM is made.
pub(crate) const KVM_CREATE_VM: u64 = kvm_ioctl(0, 0x01, 0);
pub(crate) const KVM_CHECK_EXTENSION: u64 = kvm_ioctl(0, 0x03, 0);
pub(crate) const KVM_GET_VCPU_MMAP_SIZE: u64 = kvm_ioctl(0, 0x04, 0);
pub(crate) const KVM_GET_SUPPORTED_CPUID: u64 =
    kvm_ioctl(READ | WRITE, 0x05, size_of::<kvm_cpuid2>() as u64);
pub(crate) const KVM_CREATE_VCPU: u64 = kvm_ioctl(0, 0x41, 0);
pub(crate) const KVM_SET_USER_MEMORY_REGION: u64 =
    kvm_ioctl(WRITE, 0x46, size_of::<kvm_userspace_memory_region>() as u64);
pub(crate) const KVM_SET_CPUID2: u64 = kvm_ioctl(WRITE, 0x90, size_of::<kvm_cpuid2>() as u64);
pub(crate) const KVM_SET_XCRS: u64 = kvm_ioctl(WRITE, 0xa7, size_of::<kvm_xcrs>() as u64);

/// The number of a KVM ioctl (`_IOC` of asm-generic/ioctl.h).
const fn kvm_ioctl(direction: u64, number: u64, size: u64) -> u64 {
    direction << 30 | size << 16 | (KVMIO as u64) << 8 | number
}

/// What a confined thread may still do. Every other call kills the process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// System calls with any arguments. Beside them, `mmap` and `mprotect` are always allowed
    /// without `PROT_EXEC`, and `prctl` to name guest memory and to confine a thread further.
    pub calls: Vec<i64>,
    /// Requests of `ioctl`. If there is none, `ioctl` is allowed only if `calls` has it.
    pub ioctls: Vec<u64>,
}

impl Allowed {
    /// Confines this thread until its end.
    ///
    /// # Errors
    /// See [`ConfineError`].
    pub fn confine_thread(&self) -> Result<(), ConfineError> {
        Ok(apply_filter(&self.compile()?)?)
    }

    /// Confines all threads of this process until its end.
    ///
    /// # Errors
    /// See [`ConfineError`].
    pub fn confine_all_threads(&self) -> Result<(), ConfineError> {
        Ok(apply_filter_all_threads(&self.compile()?)?)
    }

    /// The filter as the kernel takes it.
    pub fn compile(&self) -> Result<BpfProgram, BackendError> {
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
        for &call in &self.calls {
            rules.insert(call, Vec::new());
        }
        // An empty list of rules would let every ioctl pass.
        if !self.ioctls.is_empty() {
            let requests = self.ioctls.iter();
            let ioctls = requests.map(|&request| rule(1, SeccompCmpOp::Eq, request));
            rules.insert(libc::SYS_ioctl, ioctls.collect::<Result<_, _>>()?);
        }
        let options = [libc::PR_SET_VMA, libc::PR_SET_NO_NEW_PRIVS];
        let options =
            options.map(|option| rule(0, SeccompCmpOp::Eq, u64::from(option.cast_unsigned())));
        let options = options.into_iter().collect::<Result<_, _>>()?;
        rules.entry(libc::SYS_prctl).or_insert(options);
        for call in MAPPING_CALLS {
            let executable = u64::from(libc::PROT_EXEC.cast_unsigned());
            rules.insert(call, vec![rule(2, SeccompCmpOp::MaskedEq(executable), 0)?]);
        }
        SeccompFilter::new(
            rules,
            SeccompAction::KillProcess,
            SeccompAction::Allow,
            TargetArch::x86_64,
        )?
        .try_into()
    }
}

/// A rule that lets a call pass if its `argument` compares with `value` in the given way.
fn rule(argument: u8, comparison: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, comparison, value)?;
    SeccompRule::new(vec![condition])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ioctl_numbers_are_the_kernels() {
        assert_eq!(
            [
                KVM_RUN,
                KVM_GET_REGS,
                KVM_GET_SREGS,
                KVM_SET_SREGS,
                KVM_SET_MSRS,
                KVM_GET_XSAVE,
                KVM_SET_XSAVE,
                KVM_CREATE_VM,
                KVM_CHECK_EXTENSION,
                KVM_GET_VCPU_MMAP_SIZE,
                KVM_GET_SUPPORTED_CPUID,
                KVM_CREATE_VCPU,
                KVM_SET_USER_MEMORY_REGION,
                KVM_SET_CPUID2,
                KVM_SET_XCRS,
            ],
            [
                0xae80,
                0x8090_ae81,
                0x8138_ae83,
                0x4138_ae84,
                0x4008_ae89,
                0x9000_aea4,
                0x5000_aea5,
                0xae01,
                0xae03,
                0xae04,
                0xc008_ae05,
                0xae41,
                0x4020_ae46,
                0x4008_ae90,
                0x4188_aea7,
            ]
        );
    }
}
