//! Guests that write nonsense to their devices, on this host's KVM: the machine goes on, or it ends
//! and names the reason.

use std::error::Error as _;
use std::os::unix::net::UnixDatagram;

use super::layout::{EXIT_PORT, PAGE_TABLES, VIRTIO, VIRTIO_SIZE};
use super::machine_tests::{config, out, run, store};
use super::{Config, Ending, RunError};
use crate::devices::disk::{HostCache, HostDisk};
use crate::devices::virtio::block::Block;
use crate::devices::virtio::net::Net;

// The addresses of the guest's queue: descriptors, available and used ring, and a buffer.
const TABLE: u64 = 0x60_0000;
const AVAILABLE: u64 = 0x60_1000;
const USED: u64 = 0x60_2000;
const BUFFER: u64 = 0x60_3000;
const NEXT: u32 = 1;
const WRITE: u32 = 2;

/// Maps the devices' registers onto themselves, by a page directory after the three page tables.
fn map_devices() -> Vec<u8> {
    let directory = PAGE_TABLES + 0x3000;
    let entry = u32::try_from(directory).unwrap() | 3;
    let mut code = store(PAGE_TABLES + 0x1000 + 3 * 8, entry);
    code.extend(store(directory + (0x1000_0000 >> 21) * 8, 0xd000_0083));
    code
}

/// Runs a guest of `code` with a disk and a network card.
fn run_with_devices(code: &[u8]) -> Option<Result<Ending, RunError>> {
    let disk = tempfile::NamedTempFile::new().unwrap();
    disk.as_file().set_len(4096).unwrap();
    let (tap, _host) = UnixDatagram::pair().unwrap();
    tap.set_nonblocking(true).unwrap();
    let mut all = map_devices();
    all.extend(code);
    all.extend(out(EXIT_PORT, 0));
    let ending = run(Config {
        disks: vec![Block::new(
            HostDisk::open(disk.path()).unwrap(),
            HostCache::Used,
        )],
        network: Some(Net::new(tap.into(), [2, 0, 0, 0, 0, 1])),
        ..config(&all)
    });
    assert_eq!(disk.as_file().metadata().unwrap().len(), 4096);
    ending
}

fn store_all(words: &[(u64, u32)]) -> Vec<u8> {
    let stores = words.iter().map(|&(address, value)| store(address, value));
    stores.flatten().collect()
}

/// Sets up queue 0 of the disk as a driver does, with the descriptors at `table`.
fn set_up(table: u64) -> Vec<u8> {
    let word = |address| u32::try_from(address).unwrap();
    store_all(&[
        (VIRTIO + 0x70, 1),
        (VIRTIO + 0x70, 3),
        (VIRTIO + 0x24, 1),
        (VIRTIO + 0x20, 1),
        (VIRTIO + 0x70, 11),
        (VIRTIO + 0x38, 16),
        (VIRTIO + 0x80, word(table)),
        (VIRTIO + 0x90, word(AVAILABLE)),
        (VIRTIO + 0xa0, word(USED)),
        (VIRTIO + 0x44, 1),
        (VIRTIO + 0x70, 15),
    ])
}

/// Writes descriptors, each of an address, a length, flags and the next descriptor's number.
fn describe(descriptors: &[(u64, u32, u32, u32)]) -> Vec<u8> {
    let mut code = Vec::new();
    for (at, &(address, length, flags, next)) in (TABLE..).step_by(16).zip(descriptors) {
        code.extend(store_all(&[
            (at, u32::try_from(address & 0xffff_ffff).unwrap()),
            (at + 4, u32::try_from(address >> 32).unwrap()),
            (at + 8, length),
            (at + 12, flags | next << 16),
        ]));
    }
    code
}

/// The error of a machine whose guest runs `before`, sets the available index to `index`, and
/// notifies the device.
fn violation(before: &[u8], index: u32) -> Option<String> {
    let mut code = set_up(TABLE);
    code.extend(before);
    code.extend(store(AVAILABLE, index << 16));
    code.extend(store(VIRTIO + 0x50, 0));
    let error = run_with_devices(&code)?.unwrap_err();
    let why = error.source().map(ToString::to_string);
    Some(format!("{error}: {}", why.unwrap_or_default()))
}

#[test]
fn each_broken_queue_ends_the_machine_with_the_reason() {
    let header = (BUFFER, 16, NEXT, 1);
    for (descriptors, index, reason) in [
        (vec![header, (BUFFER, 16, NEXT, 0)], 1, "chain loops"),
        (vec![(BUFFER, 16, NEXT, 99)], 1, "leaves its table"),
        (
            vec![
                header,
                (1 << 40, 512, WRITE | NEXT, 2),
                (BUFFER, 1, WRITE, 0),
            ],
            1,
            "0x10000000000 of 512 bytes is not in guest memory",
        ),
        (vec![header, (BUFFER, u32::MAX, WRITE, 0)], 1, "is too long"),
        (
            vec![(BUFFER, 16, 0, 0)],
            1,
            "not those that the device needs",
        ),
        (vec![header], 0x4321, "its ring is not usable"),
    ] {
        let Some(message) = violation(&describe(&descriptors), index) else {
            return;
        };
        let device = "the guest's driver of the disk breaks the rules of virtio in queue 0";
        assert!(message.contains(device), "{message}");
        assert!(message.contains(reason), "{reason}: {message}");
    }
}

#[test]
fn a_ring_outside_of_memory_ends_the_machine_with_the_reason() {
    let code = set_up(0xf000_0000);
    if let Some(ending) = run_with_devices(&code) {
        let error = ending.unwrap_err();
        let why = error.source().unwrap().to_string();
        assert_eq!(why, "its ring is not in guest memory");
    }
}

#[test]
fn nonsense_in_every_register_does_not_end_the_machine() {
    // mov $end, %ecx; mov $value, %eax; l: mov (%rcx), %edx; mov %eax, (%rcx); sub $4, %ecx;
    // cmp $VIRTIO, %ecx; jae l
    let mut code = Vec::new();
    for value in [u32::MAX, 0xdead_beef, 1, 0] {
        code.push(0xb9);
        let last = VIRTIO + 2 * VIRTIO_SIZE - 4;
        code.extend(u32::try_from(last).unwrap().to_le_bytes());
        code.push(0xb8);
        code.extend(value.to_le_bytes());
        code.extend([0x8b, 0x11, 0x89, 0x01, 0x83, 0xe9, 0x04, 0x81, 0xf9]);
        code.extend(u32::try_from(VIRTIO).unwrap().to_le_bytes());
        code.extend([0x73, 0xf1]);
    }
    if let Some(ending) = run_with_devices(&code) {
        assert_eq!(ending.unwrap(), Ending::Exited(0));
    }
}
