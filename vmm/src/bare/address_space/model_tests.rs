//! The address space compared with a model: a map from page to permission and contents.
//!
//! The model knows which pages somebody has written to, since these alone may cost memory. It runs
//! in a guest with plenty of memory, where mappings get their frames at once, and in one where the
//! pages of the model just fit, if all of them are written.

use std::collections::BTreeMap;
use std::ops::Range;

use bytesize::ByteSize;
use proptest::prelude::*;

use super::lazy_tests::{fill_but, processor};
use super::{Access, AddressSpace, Backing, Growth, GuestRam, MapError, Placement, Protection};
use crate::memory::PAGE;

// The operations happen in few pages, so that they meet.
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
    /// The program itself reads, writes or runs one page, and a write fills it with `byte`.
    Touch {
        page: u64,
        access: Access,
        byte: u8,
    },
}

fn protection() -> impl Strategy<Value = Protection> {
    (0_u64..8).prop_map(|bits| Protection::from_bits(bits).unwrap())
}

fn access() -> impl Strategy<Value = Access> {
    prop::sample::select(vec![Access::Read, Access::Write, Access::Execute])
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
        (page.clone(), pages, 1_u8..).prop_map(|(page, pages, byte)| Operation::Write {
            page,
            pages,
            byte
        }),
        (page, access(), 1_u8..).prop_map(|(page, access, byte)| Operation::Touch {
            page,
            access,
            byte
        }),
    ]
}

/// A mapped page.
#[derive(Debug, Clone, Copy)]
struct Page {
    protection: Protection,
    /// The byte with which the page is filled.
    byte: u8,
    /// Whether the page may have to keep something.
    is_written: bool,
}

impl Page {
    const fn new(protection: Protection) -> Self {
        Self {
            protection,
            byte: 0,
            is_written: false,
        }
    }

    const fn write(&mut self, byte: u8) {
        self.byte = byte;
        self.is_written = true;
    }
}

type Model = BTreeMap<u64, Page>;

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
            model.extend((page..page + pages).map(|page| (page, Page::new(protection))));
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
                (page..page + pages)
                    .for_each(|page| model.get_mut(&page).unwrap().protection = protection);
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
                for page in page..page + pages {
                    let page = model.get_mut(&page).unwrap();
                    *page = Page::new(page.protection);
                }
            }
        }
        Operation::Write { page, pages, byte } => write(space, model, page..page + pages, byte),
        Operation::Touch { page, access, byte } => {
            let done = processor(space, address(page), access, byte);
            let found = model.get_mut(&page);
            assert_eq!(
                done,
                found
                    .as_ref()
                    .is_some_and(|page| access.is_permitted_by(page.protection))
            );
            if let Some(page) = found.filter(|_| done && access == Access::Write) {
                page.write(byte);
            }
        }
    }
}

fn write(space: &mut AddressSpace, model: &mut Model, pages: Range<u64>, byte: u8) {
    let length = usize::try_from((pages.end - pages.start) * PAGE).unwrap();
    let done = space.write(BASE + pages.start * PAGE, &vec![byte; length]);
    let writable = |page: &u64| model.get(page).is_some_and(|page| page.protection.write);
    let may = pages.clone().take_while(writable).count();
    assert_eq!(done.is_ok(), pages.clone().all(|page| writable(&page)));
    for page in pages.take(may) {
        let page = model.get_mut(&page).unwrap();
        // A write that fails changes nothing, but the address space was ready for it.
        page.write(if done.is_ok() { byte } else { page.byte });
    }
}

/// Grows or shrinks in place: the model knows only its own pages, so no mapping may move.
fn remap(space: &mut AddressSpace, model: &mut Model, page: u64, pages: u64, new_pages: u64) {
    let address = BASE + page * PAGE;
    let first = model.get(&page).map(|page| page.protection);
    let one =
        (page..page + pages).all(|page| model.get(&page).map(|page| page.protection) == first);
    let result = space.remap(address, pages * PAGE, new_pages * PAGE, Growth::InPlace);
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
        model.extend((page + pages..page + new_pages).map(|page| (page, Page::new(protection))));
    }
}

fn check(space: &AddressSpace, model: &Model) {
    for page in 0..PAGES + 8 {
        let mut bytes = [0xee; PAGE_LENGTH];
        let read = space.read(BASE + page * PAGE, &mut bytes);
        match model.get(&page) {
            Some(known) if readable(known.protection) => {
                read.unwrap();
                assert!(
                    bytes.iter().all(|&found| found == known.byte),
                    "page {page} is not {}",
                    known.byte
                );
            }
            _ => assert!(read.is_err(), "page {page} can be read"),
        }
    }
    let mapped: u64 = space
        .areas()
        .filter(|(range, _)| range.start < BASE + (PAGES + 8) * PAGE)
        .map(|(range, _)| range.end - range.start)
        .sum();
    assert_eq!(mapped, model.len() as u64 * PAGE);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_address_space_does_what_the_model_does(operations in prop::collection::vec(operation(), 1..40), is_scarce: bool) {
        let mut space = AddressSpace::new(GuestRam::new(ByteSize::mib(1)).unwrap());
        // The first mapping stays, so that its page tables, which are never freed, are counted once.
        let anchor = BASE + (PAGES + 20) * PAGE;
        space.map(Placement::Fixed(anchor), PAGE, Protection::READ_WRITE, Backing::Anonymous).unwrap();
        space.write(anchor, &[1]).unwrap();
        if is_scarce {
            fill_but(&mut space, (PAGES + 8) * PAGE);
        }
        let free = space.free_bytes();
        let mut model = Model::new();
        for operation in operations {
            apply(&mut space, &mut model, &operation);
            let written = model.values().filter(|page| page.is_written).count() as u64;
            prop_assert_eq!(space.free_bytes(), free - written * PAGE);
        }
        prop_assert!(!space.is_exhausted());
        space.unmap(anchor, PAGE).unwrap();
        check(&space, &model);
        space.unmap(BASE, (PAGES + 8) * PAGE).unwrap();
        prop_assert_eq!(space.free_bytes(), free + PAGE);
    }

    #[test]
    fn no_argument_panics(start: u64, length: u64, new_length: u64, bits in 0_u64..8) {
        let mut space = AddressSpace::new(GuestRam::new(ByteSize::mib(1)).unwrap());
        let protection = Protection::from_bits(bits).unwrap();
        for place in [Placement::Anywhere { hint: start }, Placement::Below2GiB { hint: start }, Placement::Fixed(start), Placement::FixedNoReplace(start)] {
            let _ = space.map(place, length, protection, Backing::Anonymous);
        }
        let _ = space.protect(start, length, protection);
        let _ = space.remap(start, length, new_length, Growth::MayMove);
        let _ = space.discard(start, length);
        let _ = space.set_break(start);
        let _ = space.unmap(start, length);
        prop_assert!(space.slices(start, length | 1, Access::Write).is_err());
        prop_assert!(space.read(start, &mut [0; 100]).is_err());
        prop_assert!(space.read_c_string(start, 100).is_err());
    }
}
