//! What the bare guest's VMM may do once the guest runs.

use nix::libc::{self, c_long};

use super::syscalls::HOST_SYSTEM_CALLS;
use super::time_slice::TIME_SLICE_CALLS;
use crate::confine::{
    Allowed, ConfineError, KVM_CHECK_EXTENSION, KVM_CREATE_VCPU, KVM_CREATE_VM, KVM_GET_SREGS,
    KVM_GET_SUPPORTED_CPUID, KVM_GET_VCPU_MMAP_SIZE, KVM_GET_XSAVE, KVM_RUN, KVM_SET_CPUID2,
    KVM_SET_MSRS, KVM_SET_SREGS, KVM_SET_USER_MEMORY_REGION, KVM_SET_XCRS, KVM_SET_XSAVE,
    RUNTIME_CALLS,
};

/// The further calls of the threads of several vCPUs.
const CALLS_BETWEEN_VCPUS: [c_long; 5] = [
    // The lock, sleeping without a thread of the program, and the wait for a thread's end.
    libc::SYS_futex,
    // A signal to the thread of another vCPU, which has to come out of the guest; the C library
    // names the process with it.
    libc::SYS_tgkill,
    libc::SYS_getpid,
    // The bell that ends the wait for the host's events is read. It is rung by a write.
    libc::SYS_read,
    // The end of a vCPU's thread.
    libc::SYS_exit,
];

/// The calls by which a snapshot gets its name once it is whole, and by which the standard library of
/// a debug build checks a file that it closes.
const CALLS_OF_SNAPSHOTS: [c_long; 2] = [libc::SYS_linkat, libc::SYS_fcntl];

/// The further calls of a template, and of a clone until it has confined itself.
const CALLS_OF_TEMPLATES: [c_long; 8] = [
    // Requests.
    libc::SYS_recvmsg,
    // The C library's fork(3).
    libc::SYS_clone,
    libc::SYS_set_robust_list,
    // The clone's death with the template.
    libc::SYS_getpid,
    libc::SYS_getppid,
    // The clone's own descriptor for standard error, and its filter.
    libc::SYS_fcntl,
    libc::SYS_prctl,
    libc::SYS_seccomp,
];

/// The ioctls by which a clone makes its VM.
const IOCTLS_OF_TEMPLATES: [u64; 8] = [
    KVM_CREATE_VM,
    KVM_GET_VCPU_MMAP_SIZE,
    KVM_GET_SUPPORTED_CPUID,
    KVM_SET_USER_MEMORY_REGION,
    KVM_CREATE_VCPU,
    KVM_SET_CPUID2,
    KVM_SET_XCRS,
    KVM_CHECK_EXTENSION,
];

/// Confines the VMM with so many `vcpus` until its end: this thread if it is the only one, or all
/// threads. Any other call kills the process.
///
/// # Errors
/// See [`ConfineError`].
pub fn confine(vcpus: usize) -> Result<(), ConfineError> {
    match vcpus {
        1 => allowed(vcpus).confine_thread(),
        _ => allowed(vcpus).confine_all_threads(),
    }
}

/// Confines a VMM of one vCPU that will write a snapshot, this thread until its end. Beside what
/// [`confine`] allows, the VMM may give an open file a name.
///
/// # Errors
/// See [`ConfineError`].
pub fn confine_snapshot(vcpus: usize) -> Result<(), ConfineError> {
    let mut allowed = allowed(vcpus);
    allowed.calls.extend(CALLS_OF_SNAPSHOTS);
    allowed.confine_thread()
}

/// Confines a VMM of one vCPU whose program will be cloned, this thread until its end. Beside what
/// [`confine`] allows, the VMM may fork, and may make a VM with the device that is open. Each clone
/// confines itself further.
///
/// # Errors
/// See [`ConfineError`].
pub fn confine_template(vcpus: usize) -> Result<(), ConfineError> {
    let mut allowed = allowed(vcpus);
    allowed.calls.extend(CALLS_OF_TEMPLATES);
    allowed.ioctls.extend(IOCTLS_OF_TEMPLATES);
    allowed.confine_thread()
}

fn allowed(vcpus: usize) -> Allowed {
    let mut calls = [&HOST_SYSTEM_CALLS[..], &TIME_SLICE_CALLS, &RUNTIME_CALLS].concat();
    if vcpus > 1 {
        calls.extend(CALLS_BETWEEN_VCPUS);
    }
    Allowed {
        calls,
        ioctls: vec![
            KVM_RUN,
            KVM_GET_SREGS,
            KVM_SET_SREGS,
            KVM_SET_MSRS,
            // A switch between two threads of the program takes their vector registers along.
            KVM_GET_XSAVE,
            KVM_SET_XSAVE,
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_compiles_and_grows_with_a_second_vcpu_alone() {
        let length = |vcpus| allowed(vcpus).compile().unwrap().len();
        assert!(length(1) > 30);
        assert!(length(2) > length(1));
        assert_eq!(length(2), length(4));
    }
}
