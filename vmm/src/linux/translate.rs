//! The translation of an address of the guest's user space to an address of guest memory, by the
//! guest's own page tables.
//!
//! KVM has an ioctl for translations (`KVM_TRANSLATE`), which asks on behalf of the guest's kernel.
//! Kernels turn supervisor mode access prevention on, and then the ioctl finds no page of a
//! program.

use vm_memory::{Bytes as _, GuestAddress};

use crate::memory::{Memory, PAGE};

// Bits of a page-table entry (Intel SDM vol. 3A, 4.5.4).
const PRESENT: u64 = 1;
const WRITABLE: u64 = 2;
const USER: u64 = 4;
const LARGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// The bits of an address by which each level chooses an entry.
const LEVEL_BITS: u32 = 9;
/// The bits of an address below the last level.
const PAGE_BITS: u32 = PAGE.trailing_zeros();
/// The highest level at which an entry may be a page (1 GiB).
const MOST_LARGE: u32 = 2;

/// What the program could do with a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// A guest's page tables, as its control registers name them.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageTables {
    root: u64,
    levels: u32,
}

impl PageTables {
    /// The page tables that CR3 and CR4 name.
    pub(super) const fn new(cr3: u64, cr4: u64) -> Self {
        const FIVE_LEVELS: u64 = 1 << 12;
        Self {
            root: cr3 & ADDRESS,
            levels: if cr4 & FIVE_LEVELS == 0 { 4 } else { 5 },
        }
    }

    /// The physical address of `address`, if user space has a page there and may access it so.
    pub(super) fn translate(self, memory: &Memory, address: u64, access: Access) -> Option<u64> {
        let needed = match access {
            Access::Read => PRESENT | USER,
            Access::Write => PRESENT | USER | WRITABLE,
        };
        let mut table = self.root;
        for level in (0..self.levels).rev() {
            let shift = PAGE_BITS + LEVEL_BITS * level;
            let index = address >> shift & ((1 << LEVEL_BITS) - 1);
            let entry: u64 = memory.read_obj(GuestAddress(table + index * 8)).ok()?;
            if entry & needed != needed {
                return None;
            }
            let is_page = level == 0 || level <= MOST_LARGE && entry & LARGE != 0;
            if is_page {
                let offset = (1 << shift) - 1;
                return Some(entry & ADDRESS & !offset | address & offset);
            }
            table = entry & ADDRESS;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::memory::map;

    const BITS: u64 = PRESENT | USER;

    /// Tables at 0x1000 (the root), 0x2000, 0x3000 and 0x4000, for addresses whose upper indices
    /// are zero.
    fn tables(last: [(u64, u64); 3]) -> (Memory, PageTables) {
        let memory = map(&[(0, 1 << 20)]).unwrap();
        for (at, next) in [(0x1000, 0x2000), (0x2000, 0x3000), (0x3000, 0x4000)] {
            memory.write_obj(next | BITS, GuestAddress(at)).unwrap();
        }
        for (at, entry) in last {
            memory.write_obj(entry, GuestAddress(at)).unwrap();
        }
        (memory, PageTables::new(0x1000, 0))
    }

    #[test]
    fn pages_of_each_size_are_found() {
        let (memory, tables) = tables([
            (0x4000 + 5 * 8, 0x9_a000 | BITS),
            (0x3000 + 8, 0x60_0000 | BITS | LARGE),
            (0x2000 + 8, 0x4000_0000 | BITS | LARGE),
        ]);
        let translate = |address| tables.translate(&memory, address, Access::Read);
        assert_eq!(translate(0x5123), Some(0x9_a123));
        assert_eq!(translate(0x20_1234), Some(0x60_1234));
        assert_eq!(translate(0x4000_0777), Some(0x4000_0777));
        assert_eq!(translate(0x6000), None);
        assert_eq!(translate(0x8000_0000), None);
    }

    #[test]
    fn a_page_of_the_kernel_s_is_not_the_program_s() {
        let (memory, tables) = tables([
            (0x4000, 0x9_a000 | PRESENT),
            (0x4008, 0x9_a000 | USER),
            (0x4010, 0),
        ]);
        assert_eq!(tables.translate(&memory, 0, Access::Read), None);
        assert_eq!(tables.translate(&memory, 0x1000, Access::Read), None);
    }

    #[test]
    fn a_page_that_only_may_be_read_is_not_written() {
        let (memory, tables) = tables([
            (0x4000, 0x9_a000 | BITS),
            (0x4008, 0x9_a000 | BITS | WRITABLE),
            (0x4010, 0),
        ]);
        // The tables above forbid writes, too.
        assert_eq!(tables.translate(&memory, 0x1000, Access::Write), None);
        for (at, next) in [(0x1000, 0x2000), (0x2000, 0x3000), (0x3000, 0x4000)] {
            let entry: u64 = next | BITS | WRITABLE;
            memory.write_obj(entry, GuestAddress(at)).unwrap();
        }
        assert_eq!(tables.translate(&memory, 0, Access::Write), None);
        let writable = tables.translate(&memory, 0x1000, Access::Write);
        assert_eq!(writable, Some(0x9_a000));
    }

    #[test]
    fn tables_outside_of_memory_lead_nowhere() {
        let memory = map(&[(0, 1 << 20)]).unwrap();
        for (cr3, cr4) in [(u64::MAX, 0), (0x10_0000, 1 << 12), (0, u64::MAX)] {
            let tables = PageTables::new(cr3, cr4);
            assert_eq!(tables.translate(&memory, u64::MAX, Access::Read), None);
        }
    }

    #[test]
    fn five_levels_are_walked() {
        let (memory, _) = tables([(0x4000, 0x9_a000 | BITS), (0x5000, 0x1000 | BITS), (0, 0)]);
        let tables = PageTables::new(0x5000, 1 << 12);
        assert_eq!(tables.translate(&memory, 8, Access::Read), Some(0x9_a008));
    }
}
