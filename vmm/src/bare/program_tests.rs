//! Hostile program files: each is refused with its reason, and none makes the VMM panic.

use bytesize::ByteSize;
use proptest::prelude::*;

use super::address_space::{AddressSpace, GuestRam, Protection};
use super::loader;
use super::program::{Image, NotAProgram, Program};
use super::stack::Start;
use crate::bare::guest_tests::{IMAGE, TestHeader, elf, elf_with};
use crate::bare::layout;
use crate::memory::PAGE;

fn parse(bytes: &[u8]) -> Result<Image, NotAProgram> {
    Image::parse(bytes.len() as u64, &mut |offset, length| {
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let end = start.saturating_add(length).min(bytes.len());
        Ok(bytes[start..end].to_vec())
    })
}

/// The smallest program, with `value` written over the bytes at `at`.
fn with(at: usize, value: &[u8]) -> Vec<u8> {
    let mut bytes = elf(&[0x0f, 0x0b]);
    bytes[at..at + value.len()].copy_from_slice(value);
    bytes
}

#[track_caller]
fn expect_reason(bytes: &[u8], reason: &str) {
    let error = parse(bytes).unwrap_err().to_string();
    assert!(error.contains(reason), "{error}");
}

#[test]
fn the_smallest_program_is_accepted() {
    let image = parse(&elf(&[0x0f, 0x0b])).unwrap();
    assert_eq!(image.entry, 0x40_0078);
    assert_eq!(image.headers, 0x40_0040);
    assert_eq!(image.segments.len(), 1);
}

#[test]
fn a_position_independent_program_gets_its_place() {
    let mut bytes = with(0x10, &3_u16.to_le_bytes());
    bytes[0x18..0x20].copy_from_slice(&0x78_u64.to_le_bytes());
    bytes[0x50..0x58].copy_from_slice(&0_u64.to_le_bytes());
    assert_eq!(parse(&bytes).unwrap().entry, layout::PROGRAM + 0x78);
}

#[test]
fn a_pipe_is_refused_without_waiting_for_its_writer() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let error = Program::open(&pipe).unwrap_err();
    let reason = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(reason, "is not a regular file");
}

#[test]
fn each_bad_file_has_its_reason() {
    expect_reason(b"", "not an ELF");
    expect_reason(b"#!/bin/sh\n", "not an ELF");
    expect_reason(&elf(&[])[..0x30], "not an ELF");
    expect_reason(&elf(&[])[..0x60], "program header table ends past the end");
    expect_reason(&with(0x12, &183_u16.to_le_bytes()), "another processor");
    expect_reason(
        &with(0x10, &1_u16.to_le_bytes()),
        "not a program (ELF type 1)",
    );
    expect_reason(&with(0x36, &32_u16.to_le_bytes()), "unknown size");
    let mut x32 = with(0x36, &32_u16.to_le_bytes());
    x32[4] = 1;
    expect_reason(&x32, "another processor");
    expect_reason(&with(0x38, &0_u16.to_le_bytes()), "no program headers");
    expect_reason(&with(0x38, &u16::MAX.to_le_bytes()), "or too many");
    expect_reason(&with(0x40, &3_u32.to_le_bytes()), "dynamically linked");
    expect_reason(&with(0x40, &4_u32.to_le_bytes()), "nothing to load");
    expect_reason(&with(0x18, &0x50_0000_u64.to_le_bytes()), "entry point");
    expect_reason(&with(0x20, &u64::MAX.to_le_bytes()), "program header table");
    expect_reason(
        &with(0x48, &0x1000_u64.to_le_bytes()),
        "a segment ends past the end",
    );
    expect_reason(&with(0x50, &1_u64.to_le_bytes()), "differ within a page");
    expect_reason(&with(0x50, &0x1000_u64.to_le_bytes()), "first 64 KiB");
    expect_reason(
        &with(0x50, &(!0xfff_u64).to_le_bytes()),
        "outside the address space",
    );
    expect_reason(&with(0x68, &1_u64.to_le_bytes()), "more bytes in the file");
}

#[test]
fn the_identification_is_not_looked_at_as_on_linux() {
    for at in 4..16 {
        for value in [0, 1, 2, 0xff] {
            assert!(parse(&with(at, &[value])).is_ok(), "byte {at} is {value}");
        }
    }
}

const READ: u32 = 4;
const WRITE: u32 = 2;
const EXECUTE: u32 = 1;

/// A loadable segment.
const fn segment(
    flags: u32,
    offset: u64,
    address: u64,
    in_file: u64,
    in_memory: u64,
) -> TestHeader {
    (1, flags, offset, address, in_file, in_memory)
}

/// Loads the program of [`elf_with`] with one more segment. The file is filled up to `length` bytes
/// with ones.
fn load_with(more: TestHeader, length: usize) -> AddressSpace {
    let mut file = elf_with(&[more], &[0x0f, 0x0b]);
    file.resize(length, 1);
    let mut memory = AddressSpace::new(GuestRam::new(ByteSize::mib(2)).unwrap());
    load_into(&mut memory, &file).unwrap();
    memory
}

#[track_caller]
fn expect_bytes(memory: &AddressSpace, at: u64, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    memory.read(at, &mut bytes).unwrap();
    assert_eq!(bytes, expected, "at {at:#x}");
}

/// The permission of the page at `at`.
fn protection_at(memory: &AddressSpace, at: u64) -> Option<Protection> {
    memory
        .areas()
        .find(|(range, _)| range.contains(&at))
        .map(|(_, protection)| protection)
}

const DATA: u64 = 0x50_0000;

#[test]
fn a_segment_may_end_past_the_files_end_but_within_its_last_page() {
    let memory = load_with(segment(READ, 0x100, DATA + 0x100, 0xf00, 0xf00), 0x200);
    expect_bytes(&memory, DATA + 0x1ff, &[1, 0]);
    expect_bytes(&memory, DATA + 0xfff, &[0]);
}

#[test]
fn a_segment_of_zeros_may_have_any_offset() {
    for offset in [0x3000, 0x123, u64::MAX] {
        let memory = load_with(segment(READ | WRITE, offset, DATA, 0, 0x1000), 0x200);
        expect_bytes(&memory, DATA, &[0; 0x1000]);
    }
}

#[test]
fn zeros_follow_the_bytes_of_a_writable_segment() {
    let data = segment(READ | WRITE, 0x100, DATA + 0x100, 0x80, 0x2000);
    let memory = load_with(data, 0x1000);
    expect_bytes(&memory, DATA + 0x17f, &[1, 0, 0]);
    expect_bytes(&memory, DATA + 0xffe, &[0, 0, 0]);
}

/// Linux ignores that it can't write the zeros (`padzero`), and makes the further pages writable
/// (`vm_brk_flags`).
#[test]
fn a_read_only_segment_keeps_the_bytes_of_the_file_in_the_place_of_zeros() {
    let constants = segment(READ, 0x100, DATA + 0x100, 0x80, 0x2000);
    let memory = load_with(constants, 0x1000);
    expect_bytes(&memory, DATA + 0x17f, &[1, 1, 1]);
    expect_bytes(&memory, DATA + 0xffe, &[1, 1, 0, 0]);
    assert_eq!(protection_at(&memory, DATA), Some(Protection::READ));
    let further = protection_at(&memory, DATA + 0x1000);
    assert_eq!(further, Some(Protection::READ_WRITE));
}

#[test]
fn a_shared_page_is_the_later_segments() {
    let flags = READ | WRITE | EXECUTE;
    let memory = load_with(segment(flags, 0x180, IMAGE + 0x180, 0x80, 0x80), 0x200);
    expect_bytes(&memory, IMAGE, b"\x7fELF");
    expect_bytes(&memory, IMAGE + 0x180, &[1]);
    let of_page = protection_at(&memory, IMAGE).unwrap();
    assert!(of_page.write && of_page.execute);
}

#[test]
fn segments_may_be_in_any_order() {
    let low = segment(READ | WRITE, 0x180, 0x20_0180, 0x80, 0x80);
    let memory = load_with(low, 0x200);
    expect_bytes(&memory, 0x20_0180, &[1]);
    let file = elf_with(&[low], &[0x0f, 0x0b]);
    assert_eq!(parse(&file).unwrap().end(), IMAGE + 0xb2);
}

#[test]
fn a_segment_in_the_place_of_the_stack_is_refused() {
    let there = segment(READ, 0, layout::STACK_END - PAGE, 0x80, 0x80);
    let error = load(&elf_with(&[there], &[0x0f, 0x0b])).unwrap_err();
    assert!(
        matches!(
            error,
            loader::LoadError::Map {
                what: "the stack",
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn the_last_stack_header_counts() {
    const PT_GNU_STACK: u32 = 0x6474_e551;
    let file = |flags: &[u32]| {
        let headers: Vec<_> = flags
            .iter()
            .map(|&flags| (PT_GNU_STACK, flags, 0, 0, 0, 0))
            .collect();
        elf_with(&headers, &[0x0f, 0x0b])
    };
    for (flags, executes) in [
        (&[][..], false),
        (&[READ | WRITE], false),
        (&[READ | WRITE | EXECUTE], true),
        (&[7, 6], false),
        (&[6, 7], true),
    ] {
        let stack = parse(&file(flags)).unwrap().stack;
        assert_eq!(stack.execute, executes, "{flags:?}");
        assert!(stack.read && stack.write);
    }
}

#[test]
fn a_program_larger_than_the_guest_is_refused_when_loaded() {
    let mut bytes = with(0x44, &7_u32.to_le_bytes());
    bytes[0x68..0x70].copy_from_slice(&(1_u64 << 40).to_le_bytes());
    let error = load(&bytes).unwrap_err().to_string();
    assert_eq!(
        error,
        "a zero-filled segment of 1024.0 GiB does not fit into the guest's memory of 2.0 MiB: give \
         the guest more with --memory"
    );
}

#[test]
fn the_stack_holds_what_the_abi_says() {
    let start = Start {
        arguments: vec![c"name".into(), c"argument".into()],
        environment: vec![c"KEY=value".into()],
        ..Start::default()
    };
    let stored = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(stored.path(), elf(&[0x0f, 0x0b])).unwrap();
    let program = Program::open(stored.path()).unwrap();
    let mut memory = AddressSpace::new(GuestRam::new(ByteSize::mib(2)).unwrap());
    let loaded = loader::load(&mut memory, &program, &start, 1).unwrap();
    let (entry, parts) = (loaded.entry, loaded.parts);
    assert_eq!(entry.stack % 16, 0);
    let word = |index: u64| {
        let mut bytes = [0; 8];
        memory.read(entry.stack + 8 * index, &mut bytes).unwrap();
        u64::from_le_bytes(bytes)
    };
    let string = |index| memory.read_c_string(word(index), 100).unwrap();
    assert_eq!(word(0), 2);
    assert_eq!(
        (string(1), string(2), word(3)),
        (c"name".into(), c"argument".into(), 0)
    );
    assert_eq!((string(4), word(5)), (c"KEY=value".into(), 0));
    let auxiliary: Vec<_> = (0..40)
        .map(|pair| (word(6 + 2 * pair), word(7 + 2 * pair)))
        .take_while(|pair| pair.0 != 0)
        .collect();
    assert!(auxiliary.contains(&(libc::AT_PAGESZ, PAGE)));
    expect_bytes(&memory, parts.arguments.start, b"name\0argument\0");
    assert_eq!(parts.arguments.end - parts.arguments.start, 14);
    assert_eq!(parts.environment.start, parts.arguments.end);
    expect_bytes(&memory, parts.environment.start, b"KEY=value\0");
    assert_eq!(parts.environment.end - parts.environment.start, 10);
    assert_eq!(parts.auxiliary.start, entry.stack + 8 * 6);
    assert_eq!(
        parts.auxiliary.end - parts.auxiliary.start,
        16 * (auxiliary.len() as u64 + 1)
    );
    assert!(auxiliary.contains(&(libc::AT_ENTRY, entry.address)));
}

#[test]
fn too_many_arguments_are_refused() {
    let stored = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(stored.path(), elf(&[0x0f, 0x0b])).unwrap();
    let program = Program::open(stored.path()).unwrap();
    let start = Start {
        arguments: vec![c"x".into(); 100_000],
        ..Start::default()
    };
    let mut memory = AddressSpace::new(GuestRam::new(ByteSize::mib(2)).unwrap());
    let error = loader::load(&mut memory, &program, &start, 1).unwrap_err();
    assert!(
        matches!(error, loader::LoadError::TooManyArguments { .. }),
        "{error:?}"
    );
}

/// Loads a file that the parser has accepted.
fn load(bytes: &[u8]) -> Result<(), loader::LoadError> {
    load_into(
        &mut AddressSpace::new(GuestRam::new(ByteSize::mib(2)).unwrap()),
        bytes,
    )
}

fn load_into(memory: &mut AddressSpace, bytes: &[u8]) -> Result<(), loader::LoadError> {
    let stored = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(stored.path(), bytes).unwrap();
    let program = Program::open(stored.path()).unwrap();
    loader::load(memory, &program, &Start::default(), 1).map(|_| ())
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(parse(&bytes).is_err());
        prop_assert!(parse(&[b"\x7fELF\x02\x01\x01".as_slice(), &bytes].concat()).is_err() || bytes.len() > 0x70);
    }

    #[test]
    fn a_damaged_program_is_refused_or_loads_or_does_not_fit(
        damage in prop::collection::vec((0_usize..0x78, any::<u8>()), 1..6)
    ) {
        let mut bytes = elf(&[0x0f, 0x0b]);
        for (at, value) in damage {
            bytes[at] = value;
        }
        if parse(&bytes).is_ok() {
            let _ = load(&bytes);
        }
    }
}
