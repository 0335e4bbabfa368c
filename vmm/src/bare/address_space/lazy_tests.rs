//! Pages without a frame: their first touch, and what becomes of memory when it gets scarce.

use bytesize::ByteSize;

use super::page_tables::PageTables;
use super::{Access, AddressSpace, Backing, Growth, GuestRam, Placement, Protection, Touch};
use crate::memory::PAGE;

const BASE: u64 = 0x4000_0000;
/// Where [`fill_but`] maps.
const FILLED: u64 = 0x5_0000_0000;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Maps `length` bytes at [`BASE`] in a guest of `memory`.
fn mapped(memory: ByteSize, length: u64) -> AddressSpace {
    let mut space = AddressSpace::new(GuestRam::new(memory).unwrap());
    map(&mut space, BASE, length, Protection::READ_WRITE);
    space
}

fn map(space: &mut AddressSpace, at: u64, length: u64, protection: Protection) {
    let place = Placement::Fixed(at);
    space
        .map(place, length, protection, Backing::Anonymous)
        .unwrap();
}

/// Does what the processor does when the program accesses the page of `address`, and what the VMM
/// does at a fault. A write fills the page with `byte`. The result is whether the access is
/// permitted.
pub(super) fn processor(space: &AddressSpace, address: u64, access: Access, byte: u8) -> bool {
    let page = address & !(PAGE - 1);
    loop {
        let entry = space.entry(page);
        if entry.is_present() {
            let is_permitted = entry.permits(access);
            if is_permitted && access == Access::Write {
                let ram = &space.ram;
                space
                    .tables
                    .update(ram, page, page + PAGE, |_, entry| entry.written());
                ram.write(entry.frame(), &[byte; 4096]);
            }
            return is_permitted;
        }
        match space.touch(address, access) {
            Touch::Given => {}
            Touch::NotAllowed => return false,
            Touch::Exhausted => panic!("no frame for {access} {address:#x}"),
        }
    }
}

/// Writes to so many pages that the program can write to `left` bytes more, in pages whose table
/// exists.
pub(super) fn fill_but(space: &mut AddressSpace, left: u64) {
    map(space, FILLED, space.ram.size(), Protection::READ_WRITE);
    assert!(processor(space, FILLED, Access::Write, 1));
    // The frames that a touch keeps for tables that it might need.
    let for_tables = PageTables::most_for(PAGE);
    let written = space.free_bytes().saturating_sub(left + for_tables);
    for at in (FILLED + PAGE..=FILLED + written).step_by(4096) {
        assert!(processor(space, at, Access::Write, 1));
    }
}

#[test]
fn a_large_mapping_costs_nothing_until_the_program_writes() {
    let space = mapped(ByteSize::mib(4), GIB);
    let free = space.free_bytes();
    assert_eq!(space.frames.borrow().left(), free);
    assert!(processor(&space, BASE + GIB / 2, Access::Read, 0));
    let with_tables = space.free_bytes();
    assert!(free - with_tables <= 3 * PAGE);
    assert!(processor(&space, BASE + GIB / 2, Access::Write, 1));
    assert_eq!(space.free_bytes(), with_tables - PAGE);
}

#[test]
fn a_touch_gives_frames_to_neighbours_of_the_same_area() {
    let mut space = mapped(ByteSize::mib(64), GIB);
    let area = BASE + GIB..BASE + GIB + 64 * MIB;
    map(&mut space, area.start, 64 * MIB, Protection::READ);
    let has_frame = |space: &AddressSpace, at| space.entry(at).owns_frame();
    for (touched, given) in [
        (BASE + 100, BASE..BASE + MIB),
        (BASE + 10 * MIB - 1, BASE + 9 * MIB..BASE + 10 * MIB),
        (area.start - 1, area.start - MIB..area.start),
        (area.start, area.start..area.start + MIB),
    ] {
        assert_eq!(space.touch(touched, Access::Read), Touch::Given);
        assert!(has_frame(&space, given.start) && has_frame(&space, given.end - 1));
        assert!(!has_frame(&space, given.end), "{touched:#x}");
    }
    // Another vCPU has touched the page at the same time.
    assert_eq!(space.touch(BASE, Access::Write), Touch::Given);
    assert_eq!(space.touch(BASE, Access::Execute), Touch::NotAllowed);
}

#[test]
fn only_what_the_area_permits_is_given() {
    let mut space = mapped(ByteSize::mib(1), MIB);
    for (protection, permitted) in [
        (Protection::NONE, [false, false, false]),
        (Protection::READ, [true, false, false]),
        (Protection::READ_WRITE, [true, true, false]),
        (Protection::READ_EXECUTE, [true, false, true]),
    ] {
        for (access, is_permitted) in [Access::Read, Access::Write, Access::Execute]
            .into_iter()
            .zip(permitted)
        {
            map(&mut space, BASE, MIB, protection);
            let expected = if is_permitted {
                Touch::Given
            } else {
                Touch::NotAllowed
            };
            assert_eq!(
                space.touch(BASE, access),
                expected,
                "{protection:?} {access}"
            );
        }
    }
    for unmapped in [BASE - 1, BASE + MIB, 0, u64::MAX] {
        assert_eq!(space.touch(unmapped, Access::Read), Touch::NotAllowed);
    }
}

#[test]
fn pages_that_nobody_wrote_to_give_their_frames_to_those_that_are_written() {
    let space = mapped(ByteSize::mib(8), GIB);
    // 1,024 pages and 512 tables need three quarters of the memory. With its neighbours each touch
    // takes more.
    let places = || (0..GIB / MIB).map(|index| BASE + index * MIB + 5 * PAGE);
    for (at, byte) in places().zip((1_u8..=100).cycle()) {
        assert!(processor(&space, at, Access::Write, byte));
    }
    for (at, byte) in places().zip((1_u8..=100).cycle()) {
        let mut seen = [0; 2];
        space.read(at + PAGE - 1, &mut seen).unwrap();
        assert_eq!(seen, [byte, 0], "{at:#x}");
    }
    assert!(!space.is_exhausted());
}

#[test]
fn all_of_a_large_mapping_can_be_read() {
    let space = mapped(ByteSize::mib(2), 64 * MIB);
    for at in (BASE..BASE + 64 * MIB).step_by(4096) {
        assert!(processor(&space, at, Access::Read, 0));
    }
    let mut bytes = vec![1; 64 << 20];
    space.read(BASE, &mut bytes).unwrap();
    assert!(bytes.iter().all(|&byte| byte == 0));
    assert!(!space.is_exhausted());
}

#[test]
fn a_touch_without_a_frame_is_remembered() {
    let mut space = mapped(ByteSize::mib(1), 2 * MIB);
    fill_but(&mut space, 0);
    assert!(!space.is_exhausted());
    assert_eq!(space.touch(BASE, Access::Write), Touch::Exhausted);
    assert!(space.is_exhausted());
    let mut space = mapped(ByteSize::mib(1), 2 * MIB);
    let fault = space.write(BASE, &vec![1; 2 << 20]).unwrap_err();
    assert_eq!(fault.address, BASE);
    assert!(space.is_exhausted());
}

#[test]
fn discarded_memory_can_be_used_elsewhere() {
    let mut space = mapped(ByteSize::mib(2), 16 * MIB);
    for round in 0..16 {
        let at = BASE + round * MIB;
        space.write(at, &vec![7; 1 << 20]).unwrap();
        space.discard(at, MIB).unwrap();
        let mut seen = [1; 8192];
        space.read(at, &mut seen).unwrap();
        assert_eq!(seen, [0; 8192]);
    }
    assert!(processor(&space, BASE, Access::Write, 9));
    space.reclaim();
    let mut seen = [1; 2];
    space.read(BASE + PAGE - 1, &mut seen).unwrap();
    assert_eq!(seen, [9, 0]);
}

#[test]
fn a_page_without_any_permission_keeps_what_was_written() {
    let mut space = mapped(ByteSize::mib(2), MIB);
    assert!(processor(&space, BASE, Access::Write, 5));
    space.protect(BASE, MIB, Protection::NONE).unwrap();
    space.reclaim();
    assert_eq!(space.touch(BASE, Access::Read), Touch::NotAllowed);
    space.protect(BASE, MIB, Protection::READ).unwrap();
    let mut seen = [0; 4097];
    space.read(BASE, &mut seen).unwrap();
    assert_eq!((seen[0], seen[4095], seen[4096]), (5, 5, 0));
}

#[test]
fn a_large_mapping_moves_with_what_was_written() {
    let mut space = mapped(ByteSize::mib(2), 32 * MIB);
    map(&mut space, BASE + 32 * MIB, PAGE, Protection::READ);
    for at in [BASE, BASE + 31 * MIB] {
        assert!(processor(&space, at, Access::Write, 3));
    }
    let free = space.free_bytes();
    let moved = space
        .remap(BASE, 32 * MIB, 64 * MIB, Growth::MayMove)
        .unwrap();
    assert_ne!(moved, BASE);
    // The tables of the new place, and no pages.
    assert!(free - space.free_bytes() <= 4 * PAGE);
    for (offset, byte) in [(0, 3), (PAGE, 0), (31 * MIB, 3), (63 * MIB, 0)] {
        let mut seen = [1];
        space.read(moved + offset, &mut seen).unwrap();
        assert_eq!(seen, [byte], "{offset:#x}");
    }
    assert!(!space.is_mapped(BASE));
    let before = space.free_bytes();
    space.unmap(moved, 64 * MIB).unwrap();
    assert_eq!(space.free_bytes(), before + 2 * PAGE);
}

#[test]
fn the_heap_may_be_larger_than_memory() {
    let mut space = AddressSpace::new(GuestRam::new(ByteSize::mib(1)).unwrap());
    space.start_heap(BASE);
    assert_eq!(space.set_break(BASE + GIB), BASE + GIB);
    space.write(BASE + GIB - 1, b"x").unwrap();
    assert_eq!(space.set_break(BASE + PAGE), BASE + PAGE);
    assert!(space.write(BASE + GIB - 1, b"x").is_err());
}

#[test]
fn a_file_gets_the_frames_of_pages_that_nobody_wrote_to() {
    let mut space = mapped(ByteSize::mib(1), MIB);
    for at in (BASE..BASE + MIB).step_by(4096) {
        assert!(processor(&space, at, Access::Read, 0));
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![b'f'; 512 << 10]).unwrap();
    let backing = Backing::File {
        file: file.as_file(),
        offset: 0,
    };
    let place = Placement::Anywhere { hint: 0 };
    let at = space
        .map(place, 512 << 10, Protection::READ, backing)
        .unwrap();
    space.reclaim();
    let mut seen = [0; 1];
    space.read(at + (511 << 10), &mut seen).unwrap();
    assert_eq!(seen, *b"f");
}
