//! What a Linux guest's VMM may do once the guest runs.

use crate::confine::{Allowed, ConfineError, KVM_GET_REGS, KVM_GET_SREGS, KVM_RUN, RUNTIME_CALLS};

/// The calls of the devices: the program's streams, disks, interrupts (one write each), and the
/// locks that the threads share.
const DEVICE_CALLS: [i64; 15] = [
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
    // The thread that reads standard input ends with this call.
    libc::SYS_exit,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sched_yield,
];

/// The further calls of a network card: it reads a packet, and its worker installs its own filter.
const NETWORK_CALLS: [i64; 2] = [libc::SYS_readv, libc::SYS_seccomp];

/// The calls of the network card's worker: it reads a packet, raises an interrupt (a write), takes
/// locks, allocates memory for a list of buffers, and ends.
const NET_WORKER_CALLS: [i64; 11] = [
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

/// The devices of a guest that need more calls than all guests do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DevicesInUse {
    /// Whether the guest has a network card.
    pub has_network: bool,
    /// Whether a disk of the guest's has an `io_uring`, which is restricted to that disk.
    pub has_disk_ring: bool,
}

/// Confines all threads of this process until its end. Any other call kills the process.
///
/// # Errors
/// See [`ConfineError`].
pub fn confine_all_threads(devices: DevicesInUse) -> Result<(), ConfineError> {
    allowed(devices).confine_all_threads()
}

/// Confines the network card's worker further: it can use no ioctl and no disk, and read nothing
/// but packets.
///
/// # Errors
/// See [`ConfineError`].
pub fn confine_net_worker() -> Result<(), ConfineError> {
    let worker = Allowed {
        calls: NET_WORKER_CALLS.to_vec(),
        ioctls: Vec::new(),
    };
    worker.confine_thread()
}

fn allowed(devices: DevicesInUse) -> Allowed {
    let mut calls = [&DEVICE_CALLS[..], &RUNTIME_CALLS].concat();
    let mut ioctls = vec![KVM_RUN, KVM_GET_REGS, KVM_GET_SREGS];
    if devices.has_network {
        calls.extend(NETWORK_CALLS);
        ioctls.push(libc::TUNSETOFFLOAD);
    }
    if devices.has_disk_ring {
        calls.push(libc::SYS_io_uring_enter);
    }
    Allowed { calls, ioctls }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::sync::Mutex;
    use std::time::Duration;

    use vm_memory::{Bytes as _, GuestAddress};

    use super::*;
    use crate::devices::virtio::block_tests::at_once::{ask_for_eight_pages, direct_driver};
    use crate::devices::virtio::driver::{BUFFERS, Driver, Entry, TABLE, USED, WRITE};
    use crate::devices::virtio::net::Net;

    /// Confines this thread alone as the threads of a Linux guest are confined.
    fn confine_thread() {
        let devices = DevicesInUse {
            has_network: true,
            has_disk_ring: true,
        };
        allowed(devices).confine_thread().unwrap();
    }

    /// Waits until the device has given back `count` chains.
    fn await_used(memory: &crate::memory::Memory, count: u16) {
        while memory.read_obj::<u16>(GuestAddress(USED + 2)).unwrap() < count {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn the_filter_compiles() {
        let devices = DevicesInUse {
            has_network: false,
            has_disk_ring: false,
        };
        assert!(allowed(devices).compile().unwrap().len() > 20);
    }

    /// A call that a filter refuses ends the process of this test.
    #[test]
    fn the_network_worker_works_within_both_its_filters() {
        let (tap, host) = UnixDatagram::pair().unwrap();
        tap.set_nonblocking(true).unwrap();
        let card = Net::new(tap.into(), [2; 6]);
        let worker = card.worker().unwrap();
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
            confine_thread();
            confine_net_worker().unwrap();
            worker.run(&Mutex::new(driver.transport), &driver.memory)
        });
        host.send(&[8; 60]).unwrap();
        await_used(&memory, 2);
    }

    /// A call that a filter refuses ends the process of this test.
    #[test]
    fn a_disk_s_worker_works_within_the_filter() {
        let Some((_file, mut driver, worker)) = direct_driver() else {
            return;
        };
        ask_for_eight_pages(&mut driver);
        let memory = driver.memory.clone();
        std::thread::spawn(move || {
            confine_thread();
            worker.run(&Mutex::new(driver.transport), &driver.memory)
        });
        await_used(&memory, 8);
    }
}
