//! The address space against a model: a map from page to permission and contents.

use std::collections::BTreeMap;

use bytesize::ByteSize;
use proptest::prelude::*;

use super::address_space::{Access, AddressSpace, Backing, MapError, Placement, Protection};
use crate::layout;
use crate::memory::{GuestRam, PAGE};

/// Where the operations happen: few pages, so that they meet.
const BASE: u64 = 0x10_0000;
const PAGES: u64 = 24;
const PAGE_LENGTH: usize = 4096;

#[derive(Debug, Clone)]
enum Operation {
    Map {
        page: u64,
        pages: u64,
        protection: Protection,
    },
    Unmap {
        page: u64,
        pages: u64,
    },
    Protect {
        page: u64,
        pages: u64,
        protection: Protection,
    },
    Remap {
        page: u64,
        pages: u64,
        new_pages: u64,
    },
    Discard {
        page: u64,
        pages: u64,
    },
    Write {
        page: u64,
        pages: u64,
        byte: u8,
    },
}

fn protection() -> impl Strategy<Value = Protection> {
    (0_u64..8).prop_map(|bits| Protection::from_bits(bits).unwrap())
}

fn operation() -> impl Strategy<Value = Operation> {
    let page = 0..PAGES;
    let pages = 1_u64..8;
    prop_oneof![
        (page.clone(), pages.clone(), protection()).prop_map(|(page, pages, protection)| {
            Operation::Map {
                page,
                pages,
                protection,
            }
        }),
        (page.clone(), pages.clone()).prop_map(|(page, pages)| Operation::Unmap { page, pages }),
        (page.clone(), pages.clone(), protection()).prop_map(|(page, pages, protection)| {
            Operation::Protect {
                page,
                pages,
                protection,
            }
        }),
        (page.clone(), pages.clone(), pages.clone()).prop_map(|(page, pages, new_pages)| {
            Operation::Remap {
                page,
                pages,
                new_pages,
            }
        }),
        (page.clone(), pages.clone()).prop_map(|(page, pages)| Operation::Discard { page, pages }),
        (page, pages, 1_u8..).prop_map(|(page, pages, byte)| Operation::Write {
            page,
            pages,
            byte
        }),
    ]
}

/// What each mapped page permits and is filled with.
type Model = BTreeMap<u64, (Protection, u8)>;

fn readable(protection: Protection) -> bool {
    protection != Protection::NONE
}

fn covered(model: &Model, page: u64, pages: u64) -> bool {
    (page..page + pages).all(|page| model.contains_key(&page))
}

fn apply(space: &mut AddressSpace, model: &mut Model, operation: &Operation) {
    let address = |page: u64| BASE + page * PAGE;
    match *operation {
        Operation::Map {
            page,
            pages,
            protection,
        } => {
            let place = Placement::Fixed(address(page));
            space
                .map(place, pages * PAGE, protection, Backing::Anonymous)
                .unwrap();
            model.extend((page..page + pages).map(|page| (page, (protection, 0))));
        }
        Operation::Unmap { page, pages } => {
            space.unmap(address(page), pages * PAGE).unwrap();
            model.retain(|at, _| !(page..page + pages).contains(at));
        }
        Operation::Protect {
            page,
            pages,
            protection,
        } => {
            let done = space.protect(address(page), pages * PAGE, protection);
            assert_eq!(done.is_ok(), covered(model, page, pages));
            if done.is_ok() {
                (page..page + pages).for_each(|page| model.get_mut(&page).unwrap().0 = protection);
            }
        }
        Operation::Remap {
            page,
            pages,
            new_pages,
        } => remap(space, model, page, pages, new_pages),
        Operation::Discard { page, pages } => {
            let done = space.discard(address(page), pages * PAGE);
            assert_eq!(done.is_ok(), covered(model, page, pages));
            if done.is_ok() {
                (page..page + pages).for_each(|page| model.get_mut(&page).unwrap().1 = 0);
            }
        }
        Operation::Write { page, pages, byte } => {
            let length = usize::try_from(pages * PAGE).unwrap();
            let done = space.write(address(page), &vec![byte; length]);
            let may = (page..page + pages).all(|page| {
                model
                    .get(&page)
                    .is_some_and(|&(protection, _)| protection.write)
            });
            assert_eq!(done.is_ok(), may);
            if may {
                (page..page + pages).for_each(|page| model.get_mut(&page).unwrap().1 = byte);
            }
        }
    }
}

/// Moving is tried and undone: the model knows only its own pages.
fn remap(space: &mut AddressSpace, model: &mut Model, page: u64, pages: u64, new_pages: u64) {
    let address = BASE + page * PAGE;
    let first = model.get(&page).map(|&(protection, _)| protection);
    let one = (page..page + pages)
        .all(|page| model.get(&page).map(|&(protection, _)| protection) == first);
    let result = space.remap(address, pages * PAGE, new_pages * PAGE, false);
    let Some(protection) = first.filter(|_| one) else {
        assert!(matches!(result, Err(MapError::NotMapped)), "{result:?}");
        return;
    };
    if new_pages <= pages {
        result.unwrap();
        model.retain(|at, _| !(page + new_pages..page + pages).contains(at));
    } else if (page + pages..page + new_pages).any(|page| model.contains_key(&page)) {
        assert!(matches!(result, Err(MapError::NoMemory)), "{result:?}");
    } else {
        result.unwrap();
        model.extend((page + pages..page + new_pages).map(|page| (page, (protection, 0))));
    }
}

fn check(space: &AddressSpace, model: &Model) {
    for page in 0..PAGES + 8 {
        let mut bytes = [0xee; PAGE_LENGTH];
        let read = space.read(BASE + page * PAGE, &mut bytes);
        match model.get(&page) {
            Some(&(protection, byte)) if readable(protection) => {
                read.unwrap();
                assert!(
                    bytes.iter().all(|&found| found == byte),
                    "page {page} is not {byte}"
                );
            }
            _ => assert!(read.is_err(), "page {page} can be read"),
        }
    }
    let mapped: u64 = space
        .areas()
        .map(|(range, _)| range.end - range.start)
        .sum();
    assert_eq!(mapped, model.len() as u64 * PAGE);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_address_space_does_what_the_model_does(operations in prop::collection::vec(operation(), 1..40)) {
        let mut space = AddressSpace::new(GuestRam::new(ByteSize::mib(1)).unwrap());
        // A mapping that stays makes the page tables, which are never given back.
        let anchor = Placement::Fixed(BASE + (PAGES + 20) * PAGE);
        space.map(anchor, PAGE, Protection::READ, Backing::Anonymous).unwrap();
        let free = space.free_bytes();
        let mut model = Model::new();
        for operation in operations {
            apply(&mut space, &mut model, &operation);
        }
        space.unmap(BASE + (PAGES + 20) * PAGE, PAGE).unwrap();
        check(&space, &model);
        space.unmap(BASE, (PAGES + 8) * PAGE).unwrap();
        prop_assert_eq!(space.free_bytes(), free + PAGE);
    }

    #[test]
    fn no_argument_panics(start: u64, length: u64, new_length: u64, bits in 0_u64..8) {
        let mut space = AddressSpace::new(GuestRam::new(ByteSize::mib(1)).unwrap());
        let protection = Protection::from_bits(bits).unwrap();
        for place in [Placement::Anywhere { hint: start }, Placement::Fixed(start), Placement::FixedNoReplace(start)] {
            let _ = space.map(place, length, protection, Backing::Anonymous);
        }
        let _ = space.protect(start, length, protection);
        let _ = space.remap(start, length, new_length, true);
        let _ = space.discard(start, length);
        let _ = space.set_break(start);
        let _ = space.unmap(start, length);
        prop_assert!(space.slices(start, length | 1, Access::Write).is_err());
        prop_assert!(space.read(start, &mut [0; 100]).is_err());
        prop_assert!(space.read_c_string(start, 100).is_err());
    }
}

fn space(size: ByteSize) -> AddressSpace {
    AddressSpace::new(GuestRam::new(size).unwrap())
}

#[test]
fn a_large_mapping_is_one_piece_of_host_memory() {
    let mut space = space(ByteSize::mib(16));
    let place = Placement::Anywhere { hint: 0 };
    let at = space
        .map(place, 4 << 20, Protection::READ_WRITE, Backing::Anonymous)
        .unwrap();
    let slices = space.slices(at + 100, 1 << 20, Access::Write).unwrap();
    assert_eq!(slices.as_iovecs().len(), 1);
    assert_eq!(slices.as_iovecs()[0].iov_len, 1 << 20);
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
    let moved = space.remap(BASE, 2 * PAGE, 4 * PAGE, true).unwrap();
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
    // No table for the first half; one for the second, whose first page has held something.
    space
        .protect(start + half, PAGE, Protection::READ_WRITE)
        .unwrap();
    space.write(start + half, b"here").unwrap();
    space.protect(start + half, PAGE, none).unwrap();
    let behind = Placement::Fixed(start + whole);
    space
        .map(behind, PAGE, Protection::READ, Backing::Anonymous)
        .unwrap();
    let moved = space.remap(start, whole, whole + half, true).unwrap();
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
fn a_move_that_fails_leaves_nothing_behind() {
    let size = ByteSize::mib(1);
    for pages in 2..=size.as_u64() / PAGE {
        let mut space = space(size);
        for place in [Placement::Fixed(BASE), Placement::Fixed(BASE + PAGE)] {
            space
                .map(place, PAGE, Protection::READ_WRITE, Backing::Anonymous)
                .unwrap();
        }
        space.protect(BASE + PAGE, PAGE, Protection::READ).unwrap();
        if space.remap(BASE, PAGE, pages * PAGE, true).is_ok() {
            continue;
        }
        assert!(space.write(BASE, b"x").is_ok());
        for page in 1..=2 * pages {
            let address = layout::MAPPINGS_END - page * PAGE;
            assert!(space.read(address, &mut [0]).is_err(), "{address:#x}");
        }
    }
}

#[test]
fn terabytes_of_nothing_are_passed_over() {
    let mut space = space(ByteSize::mib(1));
    let length = layout::USER_END - BASE;
    // Page by page, or table by table, this would take minutes.
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
    let grown = space.remap(at, 3 * PAGE, 4 * PAGE, true);
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
    let too_much = space.protect(at, 64 << 20, Protection::READ_WRITE);
    assert!(matches!(too_much, Err(MapError::NoMemory)));
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
