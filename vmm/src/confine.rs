//! The VMM's own seccomp filter: once the guest runs, the VMM can do little more than serve it.
//!
//! It can open nothing, start nothing and connect to nothing, and map no memory that can be executed. A guest that
//! takes over the VMM gains the descriptors that were open, and the calls below.

use std::collections::BTreeMap;

use kvm_bindings::KVMIO;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter, apply_filter_all_threads,
};

use crate::bare::syscalls::HOST_SYSTEM_CALLS;

/// The filter could not be made or installed.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// A rule that cannot be.
    #[error("compiling the seccomp filter")]
    Compile(#[from] seccompiler::BackendError),
    /// The kernel refused it.
    #[error("installing the seccomp filter")]
    Install(#[from] seccompiler::Error),
}

/// What the run loop, the address space and the allocator call, beside what serving system calls takes.
const OWN_CALLS: [i64; 10] = [
    libc::SYS_madvise,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_brk,
    // The size of a file that is mapped.
    libc::SYS_statx,
    libc::SYS_close,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    // The standard library's way out.
    libc::SYS_sigaltstack,
    libc::SYS_exit_group,
];

/// What the devices of a Linux guest call: its streams, its disks, its interrupts (a write each), and the locks that its
/// threads share.
const LINUX_CALLS: [i64; 15] = [
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_preadv,
    libc::SYS_pwritev2,
    libc::SYS_pwrite64,
    libc::SYS_fdatasync,
    libc::SYS_fallocate,
    libc::SYS_poll,
    libc::SYS_futex,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    // The end of a thread: the one that forwards standard input.
    libc::SYS_exit,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sched_yield,
];

/// What a network card takes beside: a packet's arrival, and the reader's own, narrower filter.
const NETWORK_CALLS: [i64; 2] = [libc::SYS_readv, libc::SYS_seccomp];

/// What the thread that awaits packets calls: a packet, an interrupt (a write), locks, memory for a list of buffers, its end.
const READER_CALLS: [i64; 11] = [
    libc::SYS_poll,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_futex,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_sched_yield,
    libc::SYS_restart_syscall,
    libc::SYS_exit_group,
];

/// The ioctls of its vCPUs: enter the guest, read its registers of both kinds.
const LINUX_IOCTLS: [u64; 3] = [
    kvm_ioctl(0, 0x80, 0),
    kvm_ioctl(READ, 0x81, size_of::<kvm_bindings::kvm_regs>() as u64),
    kvm_ioctl(READ, 0x83, size_of::<kvm_bindings::kvm_sregs>() as u64),
];

/// Calls whose third argument is a protection: none may ask for `PROT_EXEC`.
const MAPPING_CALLS: [i64; 2] = [libc::SYS_mmap, libc::SYS_mprotect];

/// The ioctls that a running VM needs (`linux/kvm.h`, `asm-generic/ioctls.h`).
const IOCTLS: [u64; 6] = [
    kvm_ioctl(0, 0x80, 0),
    kvm_ioctl(READ, 0x83, size_of::<kvm_bindings::kvm_sregs>() as u64),
    kvm_ioctl(WRITE, 0x84, size_of::<kvm_bindings::kvm_sregs>() as u64),
    kvm_ioctl(WRITE, 0x89, size_of::<kvm_bindings::kvm_msrs>() as u64),
    libc::TCGETS,
    libc::TIOCGWINSZ,
];

const WRITE: u64 = 1;
const READ: u64 = 2;

/// The number of a KVM ioctl (`_IOC` of asm-generic/ioctl.h).
const fn kvm_ioctl(direction: u64, number: u64, size: u64) -> u64 {
    direction << 30 | size << 16 | (KVMIO as u64) << 8 | number
}

/// Confines this thread for good. Whatever is not allowed kills the process.
///
/// # Errors
/// See [`ConfineError`].
pub fn confine() -> Result<(), ConfineError> {
    let calls = HOST_SYSTEM_CALLS.into_iter().chain(OWN_CALLS);
    Ok(apply_filter(&filter(calls, &IOCTLS)?)?)
}

/// What a Linux guest's devices need beside what all do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// It has a network card.
    pub network: bool,
    /// A disk of its has an `io_uring`, restricted to that disk.
    pub ring: bool,
}

/// Confines all threads of this process, for a Linux guest.
///
/// # Errors
/// See [`ConfineError`].
pub fn confine_all_threads(needs: Needs) -> Result<(), ConfineError> {
    Ok(apply_filter_all_threads(&linux_filter(needs)?)?)
}

fn linux_filter(needs: Needs) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut calls = [&LINUX_CALLS[..], &OWN_CALLS].concat();
    let mut ioctls = LINUX_IOCTLS.to_vec();
    if needs.network {
        calls.extend(NETWORK_CALLS);
        ioctls.push(libc::TUNSETOFFLOAD);
    }
    if needs.ring {
        calls.push(libc::SYS_io_uring_enter);
    }
    filter(calls.into_iter(), &ioctls)
}

/// Confines the thread that awaits packets further: no ioctl, no disk, no reading of anything else but a packet.
///
/// # Errors
/// See [`ConfineError`].
pub fn confine_network_reader() -> Result<(), ConfineError> {
    Ok(apply_filter(&filter(READER_CALLS.into_iter(), &[])?)?)
}

fn filter(
    calls: impl Iterator<Item = i64>,
    ioctls: &[u64],
) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in calls {
        rules.insert(call, Vec::new());
    }
    let ioctls: Vec<_> = ioctls
        .iter()
        .map(|&request| rule(1, SeccompCmpOp::Eq, request))
        .collect::<Result<_, _>>()?;
    // No rule at all would let every ioctl pass.
    if !ioctls.is_empty() {
        rules.insert(libc::SYS_ioctl, ioctls);
    }
    // Naming guest RAM; what a thread does before it confines itself further.
    let options = [libc::PR_SET_VMA, libc::PR_SET_NO_NEW_PRIVS]
        .map(|option| rule(0, SeccompCmpOp::Eq, u64::from(option.cast_unsigned())));
    let options = options.into_iter().collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_prctl, options);
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

/// Lets a call pass whose `argument` compares so with `value`.
fn rule(
    argument: u8,
    comparison: SeccompCmpOp,
    value: u64,
) -> Result<SeccompRule, seccompiler::BackendError> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, comparison, value)?;
    SeccompRule::new(vec![condition])
}

/// Confines this thread alone as a Linux guest's threads are.
#[cfg(test)]
pub(crate) fn confine_thread_of_linux_guest() {
    let needs = Needs {
        network: true,
        ring: true,
    };
    apply_filter(&linux_filter(needs).unwrap()).unwrap();
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::sync::Mutex;
    use std::time::Duration;

    use vm_memory::{Bytes as _, GuestAddress};

    use super::*;
    use crate::devices::virtio::driver::{BUFFERS, Driver, Entry, TABLE, USED, WRITE};
    use crate::devices::virtio::net::Net;

    #[test]
    fn the_ioctl_numbers_are_the_kernels() {
        assert_eq!(IOCTLS[..4], [0xae80, 0x8138_ae83, 0x4138_ae84, 0x4008_ae89]);
        assert_eq!(LINUX_IOCTLS, [0xae80, 0x8090_ae81, 0x8138_ae83]);
    }

    /// A call that a filter refuses ends this test's process.
    #[test]
    fn a_reader_of_packets_works_within_both_its_filters() {
        let (tap, host) = UnixDatagram::pair().unwrap();
        tap.set_nonblocking(true).unwrap();
        let card = Net::new(tap.into(), [2; 6]);
        let reader = card.reader().unwrap();
        let mut driver = Driver::of_queue(0, Box::new(card), 0, 16);
        let buffer = Entry {
            address: BUFFERS,
            length: 2048,
            flags: WRITE,
            next: 0,
        };
        driver.put(TABLE, 0, buffer);
        host.send(&[7; 60]).unwrap();
        driver.submit(0).unwrap();
        // The second buffer waits for its packet.
        driver.put(TABLE, 1, buffer);
        driver.submit(1).unwrap();
        let memory = driver.memory.clone();
        std::thread::spawn(move || {
            confine_thread_of_linux_guest();
            confine_network_reader().unwrap();
            reader.run(&Mutex::new(driver.transport), &driver.memory)
        });
        host.send(&[8; 60]).unwrap();
        while memory.read_obj::<u16>(GuestAddress(USED + 2)).unwrap() < 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn the_filter_compiles() {
        assert!(
            filter(HOST_SYSTEM_CALLS.into_iter(), &IOCTLS)
                .unwrap()
                .len()
                > 30
        );
        let needs = Needs {
            network: false,
            ring: false,
        };
        assert!(linux_filter(needs).unwrap().len() > 20);
    }
}
