//! Guests that map more than they have, on this host's KVM: only the processor itself can show that
//! it faults at a page without a frame, goes on, and marks the pages to which it writes.

use super::Ending;
use super::exception::{Death, Signal};
use super::guest_tests::{
    EXIT, MMAP, MPROTECT, PAGE_AT, call_with, expect_exit, peek, touch, try_run,
};

const MADVISE: u8 = 28;
const MIB: u32 = 1 << 20;
/// More than the 16 MiB that the guests have.
const LARGE: u32 = 64 * MIB;
const DISCARD: u32 = libc::MADV_DONTNEED.cast_unsigned();
const NONE: u32 = 0;
const READ: u32 = 1;
const READ_WRITE: u32 = 3;

/// Maps [`LARGE`] bytes at [`PAGE_AT`].
fn map_large(protection: u32) -> Vec<u8> {
    // MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
    call_with(MMAP, &[PAGE_AT, LARGE, protection, 0x32, u32::MAX])
}

/// Runs `body`, an instruction on the byte at RAX, for each `step`th byte of the large mapping.
fn each(step: u32, body: &[u8]) -> Vec<u8> {
    let add_compare_and_jump = 12;
    let back = u8::try_from(body.len() + add_compare_and_jump)
        .unwrap()
        .wrapping_neg();
    [
        &[0xb8][..],
        &PAGE_AT.to_le_bytes(), // mov $PAGE_AT, %eax
        body,
        &[0x05],
        &step.to_le_bytes(), // add $step, %eax
        &[0x3d],
        &(PAGE_AT + LARGE).to_le_bytes(), // cmp $(PAGE_AT + LARGE), %eax
        &[0x72, back],                    // jb body
    ]
    .concat()
}

/// `movb $value, (%rax)`
const fn store(value: u8) -> [u8; 3] {
    [0xc6, 0x00, value]
}

/// `cmpb $value, (%rax); je 1f; ud2; 1:`
const fn expect(value: u8) -> [u8; 7] {
    [0x80, 0x38, value, 0x74, 0x02, 0x0f, 0x0b]
}

fn exit() -> Vec<u8> {
    call_with(EXIT, &[0])
}

#[test]
fn more_is_mapped_than_there_is_and_a_little_of_it_is_written() {
    // 1,024 pages are 4 MiB. With its neighbours each touch takes more.
    let step = 64 << 10;
    let code = [
        map_large(READ_WRITE),
        each(step, &store(7)),
        each(step, &expect(7)),
        each(step, &store(9)),
        each(step, &expect(9)),
        exit(),
    ];
    expect_exit(&code.concat(), 0);
}

#[test]
fn what_is_only_read_needs_no_memory() {
    let code = [map_large(READ), each(4096, &expect(0)), exit()];
    expect_exit(&code.concat(), 0);
}

#[test]
fn a_page_that_was_read_and_then_written_keeps_its_contents() {
    let code = [
        map_large(READ_WRITE),
        // The first pages are read, then written. Reads of all others take every other frame.
        peek(),
        touch(),
        each(4096, &[0x8a, 0x08]), // mov (%rax), %cl
        vec![0xb8],
        PAGE_AT.to_le_bytes().to_vec(), // mov $PAGE_AT, %eax
        expect(1).to_vec(),
        exit(),
    ];
    expect_exit(&code.concat(), 0);
}

#[test]
fn a_page_that_was_discarded_and_then_written_keeps_its_contents() {
    let discard = || call_with(MADVISE, &[PAGE_AT, 4096, DISCARD]);
    let at_start = |body: &[u8]| [&[0xb8][..], &PAGE_AT.to_le_bytes(), body].concat();
    let code = [
        map_large(READ_WRITE),
        at_start(&store(5)),
        discard(),
        at_start(&expect(0)),
        at_start(&store(6)),
        discard(),
        at_start(&store(7)),
        each(4096, &[0x8a, 0x08]), // mov (%rax), %cl
        at_start(&expect(7)),
        exit(),
    ];
    expect_exit(&code.concat(), 0);
}

#[test]
fn a_program_that_fills_more_than_there_is_is_killed() {
    let code = [map_large(READ_WRITE), each(4096, &store(1)), exit()];
    if let Some(result) = try_run(&code.concat()) {
        let ending = result.unwrap();
        assert_eq!(ending, Ending::OutOfMemory);
        assert_eq!(ending.code(), 128 + 9);
    }
}

/// How the access to an untouched page of this permission ends the program.
fn death_at(protection: u32, access: Vec<u8>) -> Option<Death> {
    let result = try_run(&[map_large(protection), access].concat())?;
    let Ending::Died(death) = result.unwrap() else {
        panic!("the guest survived");
    };
    assert_eq!(
        (death.signal, death.address),
        (Signal::Segmentation, Some(PAGE_AT.into()))
    );
    Some(death)
}

#[test]
fn an_access_that_is_not_permitted_is_told_as_that() {
    for (protection, access, cause) in [
        (NONE, peek(), "reading from a page without read permission"),
        (NONE, touch(), "writing to a page without write permission"),
        (READ, touch(), "writing to a page without write permission"),
    ] {
        if let Some(death) = death_at(protection, access) {
            assert_eq!(death.cause, cause);
        }
    }
    // mov $PAGE_AT, %eax; jmp *%rax
    let jump = [&[0xb8][..], &PAGE_AT.to_le_bytes(), &[0xff, 0xe0]].concat();
    if let Some(death) = death_at(READ_WRITE, jump) {
        assert_eq!(
            death.cause,
            "running code in a page without execute permission"
        );
    }
}

#[test]
fn a_reservation_that_becomes_writable_gets_memory_at_the_first_touch() {
    let code = [
        map_large(NONE),
        call_with(MPROTECT, &[PAGE_AT, LARGE, READ_WRITE]),
        each(2 * MIB, &store(3)),
        each(2 * MIB, &expect(3)),
        exit(),
    ];
    expect_exit(&code.concat(), 0);
}
