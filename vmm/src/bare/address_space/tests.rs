//! Single cases of what a program asks of its address space.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytesize::ByteSize;

use super::{
    Access, AddressSpace, Backing, Growth, GuestRam, MOST_RESERVED, MapError, OtherProcessors,
    Placement, Protection,
};
use crate::bare::layout;
use crate::memory::PAGE;

/// The address at which the tests map.
const BASE: u64 = 0x10_0000;
const PAGE_LENGTH: usize = 4096;

fn space(size: ByteSize) -> AddressSpace {
    AddressSpace::new(GuestRam::new(size).unwrap())
}

/// Counts how often other vCPUs had to stop.
#[derive(Debug, Default)]
struct Stops(AtomicUsize);

impl OtherProcessors for Stops {
    fn stop(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn other_processors_stop_if_something_is_taken_away_that_they_may_use() {
    let stops = Arc::new(Stops::default());
    let mut space = space(ByteSize::mib(2));
    space.run_beside(stops.clone());
    let mut stopped_by = |change: &mut dyn FnMut(&mut AddressSpace)| {
        let before = stops.0.load(Ordering::Relaxed);
        change(&mut space);
        stops.0.load(Ordering::Relaxed) > before
    };
    let place = Placement::Fixed(BASE);
    let length = 4 * PAGE;
    let map = |space: &mut AddressSpace, protection| {
        space
            .map(place, length, protection, Backing::Anonymous)
            .unwrap();
    };
    // Nothing is there yet, or nothing that anybody may use.
    assert!(!stopped_by(&mut |space| map(space, Protection::NONE)));
    assert!(!stopped_by(&mut |space| map(space, Protection::READ_WRITE)));
    assert!(!stopped_by(&mut |space| space.write(BASE, &[1]).unwrap()));
    assert!(!stopped_by(&mut |space| space
        .unmap(BASE + length, length)
        .unwrap()));
    // The pages are there.
    assert!(stopped_by(&mut |space| {
        space.protect(BASE, length, Protection::READ).unwrap();
    }));
    assert!(stopped_by(&mut |space| space
        .discard(BASE, length)
        .unwrap()));
    assert!(stopped_by(&mut |space| map(space, Protection::READ_WRITE)));
    assert!(stopped_by(&mut |space| {
        let more = space.map(
            Placement::Fixed(BASE + length),
            PAGE,
            Protection::READ,
            Backing::Anonymous,
        );
        more.unwrap();
        space
            .remap(BASE, length, 2 * length, Growth::MayMove)
            .unwrap();
    }));
    assert!(stopped_by(&mut |space| space
        .unmap(BASE + length, PAGE)
        .unwrap()));
    assert!(stopped_by(&mut |space| space.reclaim()));
}

#[test]
fn a_number_changes_in_one_step_if_the_program_may_write_there() {
    let mut space = space(ByteSize::mib(1));
    let place = Placement::Fixed(BASE);
    space
        .map(place, PAGE, Protection::READ_WRITE, Backing::Anonymous)
        .unwrap();
    space.write(BASE + 4, &7_u32.to_le_bytes()).unwrap();
    assert_eq!(space.change_u32(BASE + 4, |old| Some(old + 1)), Ok(7));
    assert_eq!(space.change_u32(BASE + 4, |_| None), Ok(8));
    assert_eq!(space.load_u32(BASE + 4), Ok(8));
    assert!(space.load_u32(BASE + 6).is_err());
    for address in [BASE + 5, BASE - 4, BASE + PAGE - 2] {
        let fault = space.change_u32(address, Some).unwrap_err();
        assert_eq!(fault.access, Access::Write, "{address:#x}");
    }
    space.protect(BASE, PAGE, Protection::READ).unwrap();
    assert!(space.change_u32(BASE + 4, Some).is_err());
    assert_eq!(space.load_u32(BASE + 4), Ok(8));
}

#[test]
fn a_large_mapping_is_one_piece_of_host_memory() {
    let mut space = space(ByteSize::mib(16));
    let place = Placement::Anywhere { hint: 0 };
    let at = space
        .map(place, 4 << 20, Protection::READ_WRITE, Backing::Anonymous)
        .unwrap();
    let slices = space.slices(at + 100, 1 << 20, Access::Write).unwrap();
    let lengths: Vec<_> = slices.ranges().map(|(_, length)| length).collect();
    assert_eq!(lengths, [1 << 20]);
}

/// Maps `length` bytes below 2 GiB, and gives the address.
fn map_low(space: &mut AddressSpace, hint: u64, length: u64) -> Result<u64, MapError> {
    let place = Placement::Below2GiB { hint };
    space.map(place, length, Protection::NONE, Backing::Anonymous)
}

#[test]
fn low_mappings_grow_upwards_from_1_gib_and_fill_gaps() {
    const GIB: u64 = 1 << 30;
    let mut space = space(ByteSize::mib(1));
    assert_eq!(map_low(&mut space, 0, 4 * PAGE).unwrap(), GIB);
    assert_eq!(map_low(&mut space, 0, 2 * PAGE).unwrap(), GIB + 4 * PAGE);
    space.unmap(GIB + PAGE, 2 * PAGE).unwrap();
    assert_eq!(map_low(&mut space, 0, 3 * PAGE).unwrap(), GIB + 6 * PAGE);
    assert_eq!(map_low(&mut space, 0, 2 * PAGE).unwrap(), GIB + PAGE);
}

#[test]
fn a_low_mapping_is_where_the_program_likes_if_that_is_free_and_low() {
    const GIB: u64 = 1 << 30;
    let mut space = space(ByteSize::mib(1));
    let low = 0x1234_0000;
    assert_eq!(map_low(&mut space, low, PAGE).unwrap(), low);
    assert_eq!(map_low(&mut space, low, PAGE).unwrap(), GIB);
    let last = 2 * GIB - PAGE;
    assert_eq!(map_low(&mut space, last, 2 * PAGE).unwrap(), GIB + PAGE);
    assert_eq!(map_low(&mut space, last, PAGE).unwrap(), last);
    assert_eq!(map_low(&mut space, 5 * GIB, PAGE).unwrap(), GIB + 3 * PAGE);
}

#[test]
fn a_low_mapping_that_does_not_fit_is_refused() {
    const GIB: u64 = 1 << 30;
    let mut space = space(ByteSize::mib(1));
    assert!(matches!(
        map_low(&mut space, 0, GIB + PAGE),
        Err(MapError::NoMemory)
    ));
    // An area that reaches into the low mappings from below.
    let below = Placement::Fixed(GIB - PAGE);
    let two = 2 * PAGE;
    space
        .map(below, two, Protection::NONE, Backing::Anonymous)
        .unwrap();
    assert!(matches!(
        map_low(&mut space, 0, GIB),
        Err(MapError::NoMemory)
    ));
    assert_eq!(map_low(&mut space, 0, GIB - PAGE).unwrap(), GIB + PAGE);
    assert!(matches!(
        map_low(&mut space, 0, PAGE),
        Err(MapError::NoMemory)
    ));
}

#[test]
fn a_mapping_that_no_guest_could_fill_is_refused_and_remembered() {
    let mut space = space(ByteSize::mib(1));
    let anywhere = Placement::Anywhere { hint: 0 };
    let mut map = |length, protection, backing| space.map(anywhere, length, protection, backing);
    let too_much = MOST_RESERVED + PAGE;
    map(PAGE, Protection::READ_WRITE, Backing::Anonymous).unwrap();
    map(MOST_RESERVED, Protection::READ_WRITE, Backing::Anonymous).unwrap();
    let refused = map(too_much, Protection::READ_WRITE, Backing::Anonymous);
    assert!(matches!(refused, Err(MapError::NoMemory)), "{refused:?}");
    map(too_much, Protection::READ_WRITE, Backing::Unreserved).unwrap();
    map(too_much, Protection::READ, Backing::Anonymous).unwrap();
    assert_eq!(space.refused(), Some(too_much));
}

#[test]
fn a_file_that_does_not_fit_is_refused_and_remembered() {
    let file = tempfile::tempfile().unwrap();
    let mut space = space(ByteSize::mib(1));
    let mut map = |length| {
        let backing = Backing::File {
            file: &file,
            offset: 0,
        };
        let anywhere = Placement::Anywhere { hint: 0 };
        space.map(anywhere, length, Protection::READ, backing)
    };
    map(PAGE).unwrap();
    let refused = map(2 << 20);
    assert!(matches!(refused, Err(MapError::NoMemory)), "{refused:?}");
    assert_eq!(space.refused(), Some(2 << 20));
}

#[test]
fn a_moved_mapping_keeps_its_contents() {
    let mut space = space(ByteSize::mib(4));
    let fixed = |at| Placement::Fixed(at);
    space
        .map(
            fixed(BASE),
            2 * PAGE,
            Protection::READ_WRITE,
            Backing::Bytes(b"moved"),
        )
        .unwrap();
    space
        .map(
            fixed(BASE + 2 * PAGE),
            PAGE,
            Protection::READ,
            Backing::Anonymous,
        )
        .unwrap();
    let moved = space
        .remap(BASE, 2 * PAGE, 4 * PAGE, Growth::MayMove)
        .unwrap();
    assert_ne!(moved, BASE);
    assert_eq!(space.read_c_string(moved, 10).unwrap().as_bytes(), b"moved");
    assert!(space.write(moved + 3 * PAGE, b"x").is_ok());
    assert!(space.read(BASE, &mut [0]).is_err());
}

#[test]
fn a_reservation_that_moves_keeps_each_page_in_its_place() {
    let mut space = space(ByteSize::mib(4));
    let start = 0x4000_0000;
    let (half, whole) = (2 << 20, 4 << 20);
    let none = Protection::NONE;
    let fixed = Placement::Fixed(start);
    space.map(fixed, whole, none, Backing::Anonymous).unwrap();
    // The first half has no table. The second has one, and its first page has held something.
    space
        .protect(start + half, PAGE, Protection::READ_WRITE)
        .unwrap();
    space.write(start + half, b"here").unwrap();
    space.protect(start + half, PAGE, none).unwrap();
    let behind = Placement::Fixed(start + whole);
    space
        .map(behind, PAGE, Protection::READ, Backing::Anonymous)
        .unwrap();
    let moved = space
        .remap(start, whole, whole + half, Growth::MayMove)
        .unwrap();
    assert_ne!(moved, start);
    for page in [moved, moved + half] {
        space.protect(page, PAGE, Protection::READ).unwrap();
    }
    let mut seen = [1; 4];
    space.read(moved, &mut seen).unwrap();
    assert_eq!(seen, [0; 4]);
    space.read(moved + half, &mut seen).unwrap();
    assert_eq!(seen, *b"here");
}

#[test]
fn a_move_that_fails_changes_nothing() {
    let mut space = space(ByteSize::mib(1));
    for place in [Placement::Fixed(BASE), Placement::Fixed(BASE + PAGE)] {
        space
            .map(place, PAGE, Protection::READ_WRITE, Backing::Anonymous)
            .unwrap();
    }
    space.protect(BASE + PAGE, PAGE, Protection::READ).unwrap();
    space.write(BASE, b"here").unwrap();
    // No frame is left for the tables at the new place.
    space.reclaim();
    let left = space.free_bytes();
    space.frames.borrow_mut().take(left).unwrap();
    let moved = space.remap(BASE, PAGE, 2 * PAGE, Growth::MayMove);
    assert!(matches!(moved, Err(MapError::NoMemory)), "{moved:?}");
    assert_eq!(space.read_c_string(BASE, 10).unwrap().as_bytes(), b"here");
    space.write(BASE, b"x").unwrap();
    for page in 1..=4 {
        let address = layout::MAPPINGS_END - page * PAGE;
        assert!(!space.is_mapped(address), "{address:#x}");
    }
}

#[test]
fn terabytes_without_a_mapping_are_skipped() {
    let mut space = space(ByteSize::mib(1));
    let length = layout::USER_END - BASE;
    // This would take minutes if every page, or every missing table, were visited.
    for _ in 0..1000 {
        space
            .map(
                Placement::Fixed(BASE),
                length,
                Protection::NONE,
                Backing::Anonymous,
            )
            .unwrap();
        space.protect(BASE, length, Protection::NONE).unwrap();
        space.discard(BASE, length).unwrap();
        space.unmap(BASE, length).unwrap();
    }
}

#[test]
fn a_file_is_seen_and_never_written() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![b'a'; 5000]).unwrap();
    let mut space = space(ByteSize::mib(1));
    let backing = Backing::File {
        file: file.as_file(),
        offset: PAGE,
    };
    let at = space
        .map(
            Placement::Anywhere { hint: 0 },
            3 * PAGE,
            Protection::READ_WRITE,
            backing,
        )
        .unwrap();
    let mut seen = [1; 3 * PAGE_LENGTH];
    space.read(at, &mut seen).unwrap();
    assert_eq!(seen[..904], [b'a'; 904]);
    assert!(seen[904..].iter().all(|&byte| byte == 0));
    space.write(at, b"b").unwrap();
    let grown = space.remap(at, 3 * PAGE, 4 * PAGE, Growth::MayMove);
    assert!(matches!(grown, Err(MapError::NoMemory)), "{grown:?}");
    space.unmap(at, 3 * PAGE).unwrap();
    assert!(
        std::fs::read(file.path())
            .unwrap()
            .iter()
            .all(|&byte| byte == b'a')
    );
    // The frames come back as zeros.
    let at = space
        .map(
            Placement::Anywhere { hint: 0 },
            3 * PAGE,
            Protection::READ,
            Backing::Anonymous,
        )
        .unwrap();
    space.read(at, &mut seen).unwrap();
    assert_eq!(seen, [0; 3 * PAGE_LENGTH]);
}

#[test]
fn a_reservation_costs_no_frames() {
    let mut space = space(ByteSize::mib(1));
    let free = space.free_bytes();
    let at = space
        .map(
            Placement::Anywhere { hint: 0 },
            64 << 20,
            Protection::NONE,
            Backing::Anonymous,
        )
        .unwrap();
    assert_eq!(space.free_bytes(), free);
    space.protect(at, 8 * PAGE, Protection::READ_WRITE).unwrap();
    assert!(space.write(at, b"x").is_ok());
    assert!(space.read(at + 8 * PAGE, &mut [0]).is_err());
    space.protect(at, 64 << 20, Protection::READ_WRITE).unwrap();
    assert!(space.write(at + (63 << 20), b"x").is_ok());
}

#[test]
fn the_heap_grows_and_shrinks() {
    let mut space = space(ByteSize::mib(1));
    space.start_heap(BASE);
    assert_eq!(space.set_break(0), BASE);
    assert_eq!(space.set_break(BASE + 5000), BASE + 5000);
    assert!(space.write(BASE + 8000, b"x").is_ok());
    assert_eq!(space.set_break(BASE + 10), BASE + 10);
    assert!(space.write(BASE + 8000, b"x").is_err());
    assert_eq!(space.set_break(layout::USER_END), BASE + 10);
}
