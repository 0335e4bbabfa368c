//! Random calls with random arguments over random memory. No call may panic, block, or write to
//! memory that the program may not write.

use std::fs;

use nix::errno::Errno;
use nix::libc::{self, c_long};
use proptest::prelude::*;

use super::super::{Arrival, CallEffect, Personality};
use super::{DATA, HERE, Machine, int};
use crate::bare::address_space::{Backing, Placement, Protection};
use crate::devices::disk::HostDisk;

/// Calls that change mappings.
const MEMORY: [c_long; 6] = [
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
];

/// An argument: a descriptor, a flag, an address in the data (as an offset), or any number.
#[derive(Debug, Clone, Copy)]
enum Argument {
    Plain(u64),
    Data(u64),
    ReadOnly(u64),
}

fn argument() -> impl Strategy<Value = Argument> {
    prop_oneof![
        4 => (0..12_u64).prop_map(Argument::Plain),
        1 => Just(Argument::Plain(HERE)),
        2 => (0..32_u32).prop_map(|bit| Argument::Plain(1 << bit)),
        4 => (0..DATA).prop_map(Argument::Data),
        2 => (0..64_u64).prop_map(|page| Argument::Data(page * 4096)),
        1 => ((DATA - 16)..(DATA + 16)).prop_map(Argument::Data),
        2 => (0..8192_u64).prop_map(Argument::ReadOnly),
        1 => any::<u64>().prop_map(|value| Argument::Plain(value >> (value % 64))),
        1 => Just(Argument::Plain(u64::MAX)),
    ]
}

fn number() -> impl Strategy<Value = c_long> {
    prop_oneof![20 => 0..470 as c_long, 1 => any::<c_long>()]
}

/// Contents for the program's data: paths, small numbers, vectors of buffers.
fn fill(machine: &mut Machine, seed: &[u8]) {
    let data = machine.data;
    for (place, path) in [
        "/data/text",
        "/dev/vda",
        "/dev",
        "/proc/self/exe",
        "/proc/self/maps",
        "/dev/urandom",
        "/tmp/file",
        "/tmp",
        "/dev/fd/3",
        "..",
        "",
    ]
    .iter()
    .enumerate()
    {
        machine.put(place as u64 * 4096, format!("{path}\0").as_bytes());
    }
    for index in 0..64 {
        let entry = [
            (data + index * 100).to_le_bytes(),
            (index * 7).to_le_bytes(),
        ]
        .concat();
        machine.put(16 * 4096 + index * 16, &entry);
    }
    machine.put(20 * 4096, seed);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_call_panics_blocks_or_writes_where_it_must_not(
        calls in prop::collection::vec((number(), prop::array::uniform6(argument())), 1..40),
        seed in prop::collection::vec(any::<u8>(), 256),
        trace in prop::bool::weighted(0.05),
    ) {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let path = folder.path().join("disk");
        fs::write(&path, [3; 8192]).unwrap();
        let mut machine = Machine::with_disk(Some(HostDisk::open(&path).unwrap()));
        // Input has ended and output has no reader, so that no call waits.
        drop((machine.input.take(), machine.output.take()));
        make_sockets(&mut machine);
        fill(&mut machine, &seed);
        let place = Placement::Anywhere { hint: 0 };
        let secret = [0x5a; 8192];
        let read_only = machine.memory.map(place, 8192, Protection::READ, Backing::Bytes(&secret)).unwrap();
        set_trace(&mut machine.personality, trace);
        for (number, arguments) in calls {
            let arguments = arguments.map(|argument| match argument {
                Argument::Plain(value) => value,
                Argument::Data(offset) => machine.data + offset,
                Argument::ReadOnly(offset) => read_only + offset,
            });
            if !MEMORY.contains(&number) && !goes_on(&mut machine, number, &arguments) {
                break;
            }
        }
        let mut after = [0; 8192];
        machine.memory.read(read_only, &mut after).unwrap();
        prop_assert_eq!(after, secret);
        prop_assert_eq!(fs::metadata(&path).unwrap().len(), 8192);
    }

    #[test]
    fn memory_calls_leave_a_usable_address_space(
        calls in prop::collection::vec((number(), prop::array::uniform6(argument())), 1..60),
    ) {
        let mut machine = Machine::new();
        drop((machine.input.take(), machine.output.take()));
        for (index, (number, arguments)) in calls.into_iter().enumerate() {
            let arguments = arguments.map(|argument| match argument {
                Argument::Plain(value) => value,
                Argument::Data(offset) | Argument::ReadOnly(offset) => machine.data + (offset & !4095),
            });
            let memory_call = MEMORY[index / 2 % MEMORY.len()];
            let number = if index % 2 == 0 { memory_call } else { number };
            if !goes_on(&mut machine, number, &arguments) {
                break;
            }
        }
        let place = Placement::Anywhere { hint: 0 };
        if let Ok(at) = machine.memory.map(place, 4096, Protection::READ_WRITE, Backing::Anonymous) {
            let mut bytes = [1; 4096];
            machine.memory.read(at, &mut bytes).unwrap();
            prop_assert_eq!(bytes, [0; 4096]);
        }
    }
}

/// Gives the program a network, with a socket that listens and two that are connected.
fn make_sockets(machine: &mut Machine) {
    machine.start_network();
    let (stream, address) = (
        int(libc::SOCK_STREAM | libc::SOCK_NONBLOCK),
        [2, 0, 1, 0, 127, 0, 0, 1],
    );
    let address = machine.put(0, &address);
    let inet = int(libc::AF_INET);
    let listening = machine.call(libc::SYS_socket, &[inet, stream, 0]).unwrap();
    machine
        .call(libc::SYS_bind, &[listening, address, 16])
        .unwrap();
    machine.call(libc::SYS_listen, &[listening, 4]).unwrap();
    let client = machine.call(libc::SYS_socket, &[inet, stream, 0]).unwrap();
    let begun = machine.call(libc::SYS_connect, &[client, address, 16]);
    assert_eq!(begun, Err(Errno::EINPROGRESS));
    machine.call(libc::SYS_accept, &[listening, 0, 0]).unwrap();
}

/// Makes a call and lets the signals arrive. The result is `false` if no thread can run any more.
fn goes_on(machine: &mut Machine, number: c_long, arguments: &[u64]) -> bool {
    let effect = machine.outcome(number, arguments);
    if machine.personality.wants_look() && machine.personality.choose_thread().is_none() {
        return false;
    }
    match effect {
        CallEffect::Exit(_) | CallEffect::Signal(_) => false,
        _ => !matches!(machine.personality.next_arrival(), Some(Arrival::Kills(_))),
    }
}

/// Lines of the trace go to this test's standard error. They must be safe to make from any call.
fn set_trace(personality: &mut Personality, on: bool) {
    personality.trace = on;
}
