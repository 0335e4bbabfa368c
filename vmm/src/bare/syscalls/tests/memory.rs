//! The calls on memory.

use std::io::Read as _;

use nix::errno::Errno;
use nix::libc;
use proptest::prelude::*;

use super::super::guest;
use super::{DATA, Machine, TEXT, int};
use crate::bare::address_space::{Access, MOST_RESERVED};
use crate::memory::PAGE;

const PRIVATE: u64 = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
const READ_WRITE: u64 = (libc::PROT_READ | libc::PROT_WRITE) as u64;
const NO_FILE: u64 = u64::MAX;

#[test]
fn memory_is_mapped_used_and_given_back() {
    let mut machine = Machine::new();
    let at = machine
        .call(
            libc::SYS_mmap,
            &[0, 10_000, READ_WRITE, PRIVATE, NO_FILE, 0],
        )
        .unwrap();
    machine.memory.write(at, b"here").unwrap();
    assert_eq!(machine.call(libc::SYS_mprotect, &[at, 4096, 1]), Ok(0));
    assert!(machine.memory.write(at, b"gone").is_err());
    assert_eq!(
        machine.call(libc::SYS_mprotect, &[at, 4096, READ_WRITE]),
        Ok(0)
    );
    assert_eq!(
        machine.call(libc::SYS_madvise, &[at, 4096, int(libc::MADV_DONTNEED)]),
        Ok(0)
    );
    let mut bytes = [1; 4];
    machine.memory.read(at, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 4]);
    let larger = machine
        .call(libc::SYS_mremap, &[at, 12_288, 40_960, 1])
        .unwrap();
    machine.memory.write(larger + 40_000, b"x").unwrap();
    assert_eq!(machine.call(libc::SYS_munmap, &[larger, 40_960]), Ok(0));
    assert!(machine.memory.write(larger, b"x").is_err());
}

#[test]
fn a_mapping_lies_below_2_gib_if_the_program_asks() {
    let mut machine = Machine::new();
    let low = PRIVATE | int(libc::MAP_32BIT);
    let mut map = |hint, flags| {
        let arguments = [hint, 65_536, READ_WRITE, flags, NO_FILE, 0];
        machine.call(libc::SYS_mmap, &arguments).unwrap()
    };
    assert_eq!(map(0, low), 0x4000_0000);
    assert_eq!(map(1 << 40, low), 0x4001_0000);
    assert_eq!(map(0x1234_0000, low), 0x1234_0000);
    let fixed = low | int(libc::MAP_FIXED);
    assert_eq!(map(1 << 40, fixed), 1 << 40);
    let free = 2 << 40;
    assert_eq!(map(free, PRIVATE), free);
}

#[test]
fn bad_mappings_are_refused() {
    let mut machine = Machine::new();
    for (arguments, errno) in [
        ([0, 0, READ_WRITE, PRIVATE, NO_FILE, 0], Errno::EINVAL),
        ([0, 4096, READ_WRITE, 0x20, NO_FILE, 0], Errno::EINVAL),
        ([0, 4096, READ_WRITE, PRIVATE, NO_FILE, 5], Errno::EINVAL),
        (
            [1, 4096, READ_WRITE, PRIVATE | 0x10, NO_FILE, 0],
            Errno::EINVAL,
        ),
        (
            [0, u64::MAX, READ_WRITE, PRIVATE, NO_FILE, 0],
            Errno::ENOMEM,
        ),
        ([0, 1 << 40, READ_WRITE, PRIVATE, NO_FILE, 0], Errno::ENOMEM),
        ([0, 4096, READ_WRITE, 2, NO_FILE, 0], Errno::EBADF),
        ([0, 4096, READ_WRITE, 2, 0, 0], Errno::ENODEV),
        ([0, 4096, READ_WRITE, 2, 1, 0], Errno::EACCES),
    ] {
        assert_eq!(
            machine.call(libc::SYS_mmap, &arguments),
            Err(errno),
            "{arguments:x?}"
        );
    }
    assert_eq!(
        machine.call(libc::SYS_munmap, &[4097, 4096]),
        Err(Errno::EINVAL)
    );
    assert_eq!(
        machine.call(libc::SYS_mprotect, &[1 << 30, 4096, 1]),
        Err(Errno::ENOMEM)
    );
    assert_eq!(
        machine.call(libc::SYS_mremap, &[1 << 30, 4096, 8192, 1]),
        Err(Errno::EFAULT)
    );
    assert_eq!(
        machine.call(libc::SYS_madvise, &[1 << 30, 4096, 77]),
        Err(Errno::EINVAL)
    );
}

#[test]
fn a_file_is_mapped_privately() {
    let mut machine = Machine::new();
    let path = machine.path("/data/text");
    let file = machine.call(libc::SYS_open, &[path, 0]).unwrap();
    let shared_write = [0, 4096, READ_WRITE, int(libc::MAP_SHARED), file, 0];
    assert_eq!(
        machine.call(libc::SYS_mmap, &shared_write),
        Err(Errno::EACCES)
    );
    let at = machine
        .call(
            libc::SYS_mmap,
            &[0, 4096, READ_WRITE, int(libc::MAP_PRIVATE), file, 0],
        )
        .unwrap();
    let mut bytes = vec![0; TEXT.len()];
    machine.memory.read(at, &mut bytes).unwrap();
    assert_eq!(bytes, TEXT);
    machine.memory.write(at, b"THE").unwrap();
    let data = machine.data;
    assert_eq!(machine.call(libc::SYS_pread64, &[file, data, 3, 0]), Ok(3));
    assert_eq!(machine.bytes(0, 3), b"the");
}

/// Maps `length` bytes that may be read and written.
fn map(machine: &mut Machine, length: u64, flags: u64) -> Result<u64, Errno> {
    let arguments = [0, length, READ_WRITE, flags, NO_FILE, 0];
    machine.call(libc::SYS_mmap, &arguments)
}

#[test]
fn more_can_be_mapped_than_there_is_if_a_machine_could_have_it() {
    let unreserved = PRIVATE | int(libc::MAP_NORESERVE);
    let mut machine = Machine::new();
    let at = map(&mut machine, 1 << 30, PRIVATE).unwrap();
    machine.memory.write(at + (1 << 29), b"here").unwrap();
    let too_much = MOST_RESERVED + PAGE;
    assert_eq!(map(&mut machine, too_much, PRIVATE), Err(Errno::ENOMEM));
    let at = map(&mut machine, too_much, unreserved).unwrap();
    machine.memory.write(at + MOST_RESERVED, b"here").unwrap();
}

#[test]
fn calls_read_and_write_memory_that_was_never_touched() {
    let mut machine = Machine::new();
    let path = machine.path("/data/text");
    let file = machine.call(libc::SYS_open, &[path, 0]).unwrap();
    let at = map(&mut machine, 1 << 30, PRIVATE).unwrap();
    let into = at + (1 << 29) - 2;
    let length = TEXT.len() as u64;
    assert_eq!(
        machine.call(libc::SYS_read, &[file, into, length]),
        Ok(length)
    );
    let mut bytes = [1; TEXT.len() + 2];
    machine.memory.read(into - 1, &mut bytes).unwrap();
    assert_eq!(&bytes[1..=TEXT.len()], TEXT);
    assert_eq!((bytes[0], bytes[TEXT.len() + 1]), (0, 0));
    let free = machine.memory.free_bytes();
    assert_eq!(machine.call(libc::SYS_write, &[1, at, 5000]), Ok(5000));
    assert_eq!(machine.memory.free_bytes(), free);
    let mut sent = [1; 5000];
    machine
        .output
        .take()
        .unwrap()
        .read_exact(&mut sent)
        .unwrap();
    assert_eq!(sent, [0; 5000]);
}

#[test]
fn a_call_that_finds_no_memory_is_remembered() {
    let mut machine = Machine::new();
    let at = map(&mut machine, 1 << 30, PRIVATE).unwrap();
    let _ = machine.call(libc::SYS_getrandom, &[at, 1 << 20, 0]);
    assert!(!machine.memory.is_exhausted());
    let _ = machine.call(libc::SYS_getrandom, &[at, 1 << 30, 0]);
    assert!(machine.memory.is_exhausted());
}

proptest! {
    #[test]
    fn slices_never_leave_guest_memory(
        buffers in prop::collection::vec((address(), any::<u64>().prop_map(|length| length >> (length % 64))), 0..6),
        most in any::<u64>().prop_map(|most| most >> (most % 64)),
    ) {
        let machine = Machine::new();
        let buffers: Vec<_> = buffers.into_iter().map(|(offset, length)| (machine.data.wrapping_add(offset), length)).collect();
        let whole = guest::total(&buffers).min(most);
        if let Ok(slices) = guest::slices(&machine.memory, &buffers, Access::Write, most) {
            prop_assert!(slices.len() as u64 <= whole);
            let ram = machine.memory.ram();
            let start = ram.slice(0, ram.size()).ptr_guard().as_ptr() as usize;
            let end = start + usize::try_from(ram.size()).unwrap();
            for (at, length) in slices.ranges() {
                prop_assert!(at >= start && at + length <= end);
            }
        }
    }
}

/// Offsets from the data's start: inside the data, around its end, and any.
fn address() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..DATA,
        (DATA - 10)..(DATA + 10),
        Just(u64::MAX),
        any::<u64>()
    ]
}
