//! Four-level page tables in guest RAM (Intel SDM vol. 3A, 4.5; AMD APM vol. 2, 5.3).
//!
//! The VMM alone writes them. Every leaf is a 4 KiB page, marked accessed and dirty from the start, so that
//! neither the processor nor KVM's shadow pager has to write it back. Pages of tables are never freed: they
//! are few, and what a program wastes on them is its own memory.

use super::frames::Frames;
use crate::memory::{GuestRam, PAGE};

/// A leaf entry. Beside the processor's bits it has two of ours, in the bits left to software.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry(u64);

impl Entry {
    const PRESENT: u64 = 1;
    const WRITABLE: u64 = 1 << 1;
    const USER: u64 = 1 << 2;
    const ACCESSED: u64 = 1 << 5;
    const DIRTY: u64 = 1 << 6;
    /// Ours: the frame shows a file of the host.
    const FILE: u64 = 1 << 9;
    /// Ours: the entry owns its frame, present or not.
    const OWNER: u64 = 1 << 10;
    const NO_EXECUTE: u64 = 1 << 63;
    const FRAME: u64 = 0x000f_ffff_ffff_f000;

    /// Nothing there.
    pub(super) const EMPTY: Self = Self(0);

    /// A user page that owns `frame`, not accessible yet.
    pub(super) const fn owning(frame: u64, is_file: bool) -> Self {
        Self(frame | Self::OWNER | if is_file { Self::FILE } else { 0 })
    }

    /// A page of ring 0's, or the system-call stub, for a `frame` that no allocator owns.
    pub(super) const fn fixed(frame: u64, user: bool, write: bool, execute: bool) -> Self {
        let user = if user { Self::USER } else { 0 };
        Self(frame | user).with_access(write, execute)
    }

    const fn with_access(self, write: bool, execute: bool) -> Self {
        let write = if write { Self::WRITABLE } else { 0 };
        let execute = if execute { 0 } else { Self::NO_EXECUTE };
        Self(self.0 | Self::PRESENT | Self::ACCESSED | Self::DIRTY | write | execute)
    }

    /// The same page with other permissions; `None` for none at all.
    pub(super) const fn permitting(self, access: Option<(bool, bool)>) -> Self {
        let bare = Self(self.0 & (Self::FRAME | Self::OWNER | Self::FILE));
        match access {
            None => bare,
            Some((write, execute)) => Self(bare.0 | Self::USER).with_access(write, execute),
        }
    }

    pub(super) const fn frame(self) -> u64 {
        self.0 & Self::FRAME
    }

    pub(super) const fn owns_frame(self) -> bool {
        self.0 & Self::OWNER != 0
    }

    pub(super) const fn is_file(self) -> bool {
        self.0 & Self::FILE != 0
    }

    pub(super) const fn is_present(self) -> bool {
        self.0 & Self::PRESENT != 0
    }

    /// Whether a program may read here, or write too.
    pub(super) const fn lets_user(self, write: bool) -> bool {
        let needed = Self::PRESENT | Self::USER | if write { Self::WRITABLE } else { 0 };
        self.0 & needed == needed
    }

    /// Whether `to` takes away what `self` permitted.
    pub(super) const fn loses_to(self, to: Self) -> bool {
        let writes = self.0 & Self::WRITABLE != 0 && to.0 & Self::WRITABLE == 0;
        let executes = self.0 & Self::NO_EXECUTE == 0 && to.0 & Self::NO_EXECUTE != 0;
        let moves = self.frame() != to.frame();
        self.is_present() && (!to.is_present() || writes || executes || moves)
    }
}

/// The tables under one root.
#[derive(Debug)]
pub(super) struct PageTables {
    root: u64,
}

impl PageTables {
    /// Tables that a mapping of `length` bytes may need at most, in bytes.
    pub(super) const fn most_for(length: u64) -> u64 {
        let leaves = length / (512 * PAGE) + 2;
        let directories = leaves / 512 + 2;
        (leaves + directories + directories / 512 + 2) * PAGE
    }

    /// An empty root.
    pub(super) fn new(frames: &mut Frames) -> Option<Self> {
        frames.take_page().map(|root| Self { root })
    }

    /// Guest physical address of the root, for CR3.
    pub(super) const fn root(&self) -> u64 {
        self.root
    }

    /// Calls `visit` with each leaf entry of `start..end` whose table exists, and stores what it returns.
    ///
    /// What has no table is passed over at the level where it is missing: a program may name terabytes of nothing.
    pub(super) fn update(
        &self,
        ram: &GuestRam,
        start: u64,
        end: u64,
        mut visit: impl FnMut(u64, Entry) -> Entry,
    ) {
        let mut address = start;
        while address < end {
            let found = self.leaf_table(ram, address);
            let next = next_entry(address, found.err().unwrap_or(1)).min(end);
            if let Ok(table) = found {
                let entries = ram.table(table);
                for page in (address..next).step_by(4096) {
                    let index = index_at(page, 0);
                    let old = Entry(entries.load(index));
                    let new = visit(page, old);
                    if new != old {
                        entries.store(index, new.0);
                    }
                }
            }
            address = next;
        }
    }

    /// Makes the tables for `start..end`. `None` when the frames ran out.
    pub(super) fn make(
        &self,
        ram: &GuestRam,
        frames: &mut Frames,
        start: u64,
        end: u64,
    ) -> Option<()> {
        let mut address = start;
        while address < end {
            let mut table = self.root;
            for level in [3, 2, 1] {
                let entries = ram.table(table);
                let index = index_at(address, level);
                let entry = Entry(entries.load(index));
                table = if entry.is_present() {
                    entry.frame()
                } else {
                    let fresh = frames.take_page()?;
                    // Permissions of upper levels are all granted; the leaf decides.
                    entries.store(index, Entry::fixed(fresh, true, true, true).0);
                    fresh
                };
            }
            address = next_entry(address, 1);
        }
        Some(())
    }

    /// The leaf entry of `address`.
    pub(super) fn entry(&self, ram: &GuestRam, address: u64) -> Entry {
        self.leaf_table(ram, address).map_or(Entry::EMPTY, |table| {
            Entry(ram.table(table).load(index_at(address, 0)))
        })
    }

    /// The leaf table that serves `address`, or the level whose entry for it is empty.
    fn leaf_table(&self, ram: &GuestRam, address: u64) -> Result<u64, u32> {
        let mut table = self.root;
        for level in [3, 2, 1] {
            let entry = Entry(ram.table(table).load(index_at(address, level)));
            if !entry.is_present() {
                return Err(level);
            }
            table = entry.frame();
        }
        Ok(table)
    }
}

/// The index into the table of `level` (0 is the leaf's).
fn index_at(address: u64, level: u32) -> usize {
    usize::try_from(address >> (12 + 9 * level) & 511).expect("nine bits")
}

/// The first address that the next entry of a table of `level` serves.
const fn next_entry(address: u64, level: u32) -> u64 {
    (address | ((PAGE << (9 * level)) - 1)) + 1
}
