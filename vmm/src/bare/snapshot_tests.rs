//! Snapshots that are read again, and files that are none.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use bytesize::ByteSize;
use proptest::prelude::*;

use super::{Identity, ProgramIdentity, Snapshot, SnapshotError};
use crate::bare::address_space::{
    Access, AddressSpace, Backing, Growth, GuestRam, PAGE_LENGTH, Placement, Protection, Touch,
};
use crate::bare::guest_tests::elf;
use crate::bare::paused::Paused;
use crate::bare::syscalls::{FileTree, Personality, Settings, SystemCall};
use crate::bare::trampoline;
use crate::devices::console::Console;
use crate::kvm::{KvmKind, extended_state};
use crate::memory::PAGE;

const KIND: KvmKind = KvmKind::Software;
const BASE: u64 = 0x10_0000;
const IDENTITY: Identity = Identity {
    memory: ByteSize::mib(1),
    program: ProgramIdentity {
        length: 1000,
        modified: (1, 2),
    },
    start: 5,
};

fn empty_space() -> AddressSpace {
    let mut space = AddressSpace::new(GuestRam::new(IDENTITY.memory).unwrap());
    trampoline::install(&mut space, KIND);
    space
}

fn personality() -> Personality {
    let null = || OwnedFd::from(File::open("/dev/null").unwrap());
    let mut program = tempfile::tempfile().unwrap();
    program.write_all(&elf(&[0x90])).unwrap();
    Personality::new(Settings {
        tree: FileTree::new(Path::new("/program"), program).unwrap(),
        console: Console::new(null(), null(), null()),
        disk: None,
        memory: IDENTITY.memory,
        stack: ByteSize::kib(64),
        trace: false,
    })
    .unwrap()
}

fn paused() -> Paused {
    let mut extended = [0; extended_state::STATE];
    extended[24] = 0x80;
    Paused::from_saved(&[7; 18], &extended, (0, 0))
}

/// Maps two pages of anonymous memory, one of which is written, and one of a file's bytes.
fn filled_space() -> AddressSpace {
    let mut space = empty_space();
    space.start_heap(BASE + 32 * PAGE);
    let place = |page: u64| Placement::Fixed(BASE + page * PAGE);
    let both = Protection::READ_WRITE;
    space
        .map(place(0), 2 * PAGE, both, Backing::Anonymous)
        .unwrap();
    space.write(BASE, b"written").unwrap();
    space
        .map(
            place(8),
            PAGE,
            Protection::READ,
            Backing::Bytes(b"constant"),
        )
        .unwrap();
    space
}

/// The bytes of a snapshot.
fn snapshot() -> Vec<u8> {
    let mut file = tempfile::tempfile().unwrap();
    let space = filled_space();
    Snapshot::write(&paused(), &space, &personality(), KIND, IDENTITY, &file).unwrap();
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Reads and restores a snapshot of these bytes.
fn restored(bytes: &[u8]) -> Result<AddressSpace, SnapshotError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let mut space = empty_space();
    let snapshot = Snapshot::read(file, KIND, IDENTITY)?;
    let paused = snapshot.restore(&mut space, &mut personality())?;
    assert_eq!(paused.saved_registers()[..17], [7; 17]);
    Ok(space)
}

fn read(space: &AddressSpace, address: u64) -> [u8; 8] {
    let mut bytes = [0; 8];
    space.read(address, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_program_finds_its_memory_again() {
    let mut space = restored(&snapshot()).unwrap();
    assert_eq!(&read(&space, BASE), b"written\0");
    assert_eq!(read(&space, BASE + PAGE), [0; 8]);
    assert_eq!(&read(&space, BASE + 8 * PAGE), b"constant");
    assert!(space.write(BASE + 8 * PAGE, b"x").is_err());
    assert!(space.read(BASE + 2 * PAGE, &mut [0]).is_err());
    assert_eq!(space.touch(BASE + PAGE, Access::Write), Touch::Given);
    space.write(BASE + PAGE, b"new").unwrap();
    assert_eq!(&read(&space, BASE + PAGE)[..3], b"new");
}

#[test]
fn what_a_program_gives_back_is_zero_and_not_the_snapshot_s() {
    let mut space = restored(&snapshot()).unwrap();
    let free = space.free_bytes();
    space.discard(BASE, PAGE).unwrap();
    assert_eq!(read(&space, BASE), [0; 8]);
    space.write(BASE, b"again").unwrap();
    space.discard(BASE, PAGE).unwrap();
    assert_eq!(read(&space, BASE), [0; 8]);
    space.unmap(BASE, 2 * PAGE).unwrap();
    assert_eq!(space.free_bytes(), free + PAGE);
    let place = Placement::Fixed(BASE);
    space
        .map(place, 2 * PAGE, Protection::READ_WRITE, Backing::Anonymous)
        .unwrap();
    assert_eq!(read(&space, BASE), [0; 8]);
}

#[test]
fn restored_memory_grows_and_moves_as_other_memory_does() {
    let mut space = restored(&snapshot()).unwrap();
    let growth = Growth::MayMove;
    let moved = space.remap(BASE, 2 * PAGE, 16 * PAGE, growth).unwrap();
    assert_eq!(&read(&space, moved), b"written\0");
    assert_eq!(read(&space, moved + 15 * PAGE), [0; 8]);
}

#[test]
fn what_is_no_snapshot_is_told_so() {
    let good = snapshot();
    let error = |bytes: &[u8]| restored(bytes).unwrap_err().to_string();
    assert!(error(b"").contains("no snapshot"));
    assert!(error(b"\x7fELF").contains("no snapshot"));
    assert!(error(&good[..good.len() - 1]).contains("bytes, and its state speaks of"));
    assert!(error(&good[..200]).contains("bytes, and its state speaks of"));
    let endless = format!("{} {} {}\n", super::MAGIC, super::VERSION, u64::MAX);
    assert!(error(endless.as_bytes()).contains("bytes, and its state speaks of"));
    let longer = [&good[..], b"x"].concat();
    assert!(error(&longer).contains("bytes, and its state speaks of"));
    let other = String::from_utf8_lossy(&good[..40]).replace(" 1/", " 9/");
    assert!(
        error(other.as_bytes()).contains("of version 9/"),
        "{}",
        error(other.as_bytes())
    );
}

#[test]
fn a_snapshot_of_another_guest_or_host_is_told_so() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&snapshot()).unwrap();
    let read = |kind, identity| {
        let file = file.try_clone().unwrap();
        Snapshot::read(file, kind, identity)
            .unwrap_err()
            .to_string()
    };
    let memory = Identity {
        memory: ByteSize::mib(2),
        ..IDENTITY
    };
    assert!(
        read(KIND, memory).contains("--memory 1048576B"),
        "{}",
        read(KIND, memory)
    );
    let program = Identity {
        program: ProgramIdentity {
            length: 1000,
            modified: (1, 3),
        },
        ..IDENTITY
    };
    assert!(read(KIND, program).contains("another program"));
    let start = Identity {
        start: 6,
        ..IDENTITY
    };
    assert!(read(KIND, start).contains("other arguments"));
    assert!(read(KvmKind::Hardware, IDENTITY).contains("of software KVM"));
}

#[test]
fn what_is_not_kept_is_named() {
    let (mut personality, mut space) = (personality(), filled_space());
    // eventfd2(0, 0)
    personality.call(
        &SystemCall {
            number: libc::SYS_eventfd2.cast_unsigned(),
            arguments: [0; 6],
        },
        &mut space,
    );
    let file = tempfile::tempfile().unwrap();
    let taken = Snapshot::write(&paused(), &space, &personality, KIND, IDENTITY, &file);
    let error = taken.unwrap_err().to_string();
    assert!(error.contains("doesn't keep open files"), "{error}");
}

proptest! {
    #[test]
    fn a_damaged_snapshot_does_the_vmm_no_harm(
        damage in prop::collection::vec((any::<prop::sample::Index>(), b' '..b'~'), 1..6),
    ) {
        let mut bytes = snapshot();
        let state = bytes.iter().position(|&byte| byte == 0).unwrap();
        for (at, byte) in damage {
            let at = at.index(state);
            bytes[at] = byte;
        }
        // A refusal is what is expected; some damage leaves a snapshot of something else.
        let _ = restored_whatever(&bytes);
    }

    #[test]
    fn wrong_numbers_do_the_vmm_no_harm(
        which in any::<prop::sample::Index>(),
        number in prop_oneof![any::<u64>(), (0..600_u64).prop_map(|page| page * PAGE), Just(0), Just(u64::MAX)],
    ) {
        let bytes = snapshot();
        let end = bytes.iter().position(|&byte| byte == 0).unwrap();
        let start = bytes.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        let mut state: serde_json::Value = serde_json::from_slice(&bytes[start..end]).unwrap();
        let mut numbers = Vec::new();
        collect(&mut state, &mut numbers);
        let count = numbers.len();
        *numbers[which.index(count)] = number.into();
        let json = serde_json::to_vec(&state).unwrap();
        let mut file = format!("{} {} {}\n", super::MAGIC, super::VERSION, json.len()).into_bytes();
        file.extend(json);
        file.resize(file.len().next_multiple_of(PAGE_LENGTH), 0);
        let rest = end.next_multiple_of(PAGE_LENGTH);
        file.extend(&bytes[rest..]);
        let _ = restored_whatever(&file);
    }
}

/// Restores, without a look at what the registers are, and uses the memory.
fn restored_whatever(bytes: &[u8]) -> Result<(), SnapshotError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let mut space = empty_space();
    let mut personality = personality();
    let snapshot = Snapshot::read(file, KIND, IDENTITY)?;
    snapshot.restore(&mut space, &mut personality)?;
    let areas: Vec<_> = space.areas().map(|(area, _)| area).collect();
    for area in areas {
        let _ = space.write(area.start, b"used");
        let _ = space.unmap(area.start, area.end - area.start);
    }
    Ok(())
}

/// All numbers of `value`.
fn collect<'v>(value: &'v mut serde_json::Value, into: &mut Vec<&'v mut serde_json::Value>) {
    match value {
        serde_json::Value::Number(_) => into.push(value),
        serde_json::Value::Array(values) => values.iter_mut().for_each(|it| collect(it, into)),
        serde_json::Value::Object(map) => map.values_mut().for_each(|it| collect(it, into)),
        _ => {}
    }
}
