//! Four-level page tables in guest RAM (Intel SDM vol. 3A, 4.5; AMD APM vol. 2, 5.3).
//!
//! Every leaf is a 4 KiB page. The processor (or KVM's shadow pager) marks the entry accessed at the
//! first read and dirty at the first write, and the VMM writes all else. So a page of the guest's own
//! that is not dirty is *clean*: it holds zeros, and its frame can be taken back. Pages that hold
//! something from the start are marked from the start, too. Pages of tables are never freed: they
//! are few, and a program that wastes them wastes its own memory.

use super::frames::Frames;
use super::mapping::Protection;
use super::ram::GuestRam;
use super::user_memory::Access;
use crate::memory::PAGE;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contents {
    /// Memory of the guest's own.
    Anonymous,
    /// A page of a file of the host's.
    File,
    /// A page of a file of the guest's, which other pages may show as well.
    Shared,
    /// Memory of the guest's own that a snapshot's file has brought.
    Restored,
}

/// The rings that may use a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ring {
    /// Ring 0 alone uses the page.
    Kernel,
    /// Ring 3 uses the page, too.
    User,
}

/// A leaf entry. Four of the bits that the processor leaves to software are the VMM's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry(u64);

impl Entry {
    const PRESENT: u64 = 1;
    const WRITABLE: u64 = 1 << 1;
    const USER: u64 = 1 << 2;
    const ACCESSED: u64 = 1 << 5;
    const DIRTY: u64 = 1 << 6;
    /// What the processor marks.
    const USED: u64 = Self::ACCESSED | Self::DIRTY;
    /// The VMM's bit for a frame that shows a file of the host.
    const FILE: u64 = 1 << 9;
    /// The VMM's bit for an entry that owns its frame, present or not.
    const OWNER: u64 = 1 << 10;
    /// The VMM's bit for a frame of a file of the guest's.
    const SHARED: u64 = 1 << 11;
    /// The VMM's bit for a frame that a snapshot's file has brought.
    const RESTORED: u64 = 1 << 52;
    /// What says what a frame holds.
    const KIND: u64 = Self::FILE | Self::SHARED | Self::RESTORED;
    /// The bits that stay when the permission changes.
    const LASTING: u64 = Self::FRAME | Self::OWNER | Self::KIND | Self::USED;
    const NO_EXECUTE: u64 = 1 << 63;
    const FRAME: u64 = 0x000f_ffff_ffff_f000;

    /// An entry without a frame.
    pub(super) const EMPTY: Self = Self(0);

    /// A user page that owns `frame`, not accessible yet. The page is clean if it holds no file's
    /// bytes.
    pub(super) const fn owning(frame: u64, contents: Contents) -> Self {
        let kind = match contents {
            Contents::Anonymous => 0,
            Contents::File => Self::FILE | Self::USED,
            Contents::Shared => Self::SHARED | Self::USED,
            Contents::Restored => Self::RESTORED | Self::USED,
        };
        Self(frame | Self::OWNER | kind)
    }

    /// A page for a `frame` that no allocator owns: a table, or a page of the trampoline.
    pub(super) const fn fixed(frame: u64, ring: Ring, protection: Protection) -> Self {
        let user = match ring {
            Ring::Kernel => 0,
            Ring::User => Self::USER,
        };
        Self(frame | user | Self::USED).with_access(protection)
    }

    const fn with_access(self, protection: Protection) -> Self {
        let write = if protection.write { Self::WRITABLE } else { 0 };
        let execute = if protection.execute {
            0
        } else {
            Self::NO_EXECUTE
        };
        Self(self.0 | Self::PRESENT | write | execute)
    }

    /// The same page with other permissions. A page without any permission, or without a frame, is
    /// not present.
    pub(super) const fn permitting(self, protection: Protection) -> Self {
        let page = Self(self.0 & Self::LASTING);
        if protection.is_none() || !self.owns_frame() {
            return page;
        }
        Self(page.0 | Self::USER).with_access(protection)
    }

    pub(super) const fn frame(self) -> u64 {
        self.0 & Self::FRAME
    }

    pub(super) const fn owns_frame(self) -> bool {
        self.0 & Self::OWNER != 0
    }

    /// What the frame holds, if the entry owns one.
    pub(super) const fn contents(self) -> Contents {
        match self.0 & Self::KIND {
            0 => Contents::Anonymous,
            Self::SHARED => Contents::Shared,
            Self::RESTORED => Contents::Restored,
            _ => Contents::File,
        }
    }

    /// Whether the entry owns a frame to which nobody has written: the frame holds zeros.
    pub(super) const fn is_clean(self) -> bool {
        self.owns_frame() && self.0 & Self::DIRTY == 0
    }

    /// Whether the processor has used the entry, and may hold a translation of it.
    pub(super) const fn is_accessed(self) -> bool {
        self.0 & Self::ACCESSED != 0
    }

    /// The same page after a write.
    pub(super) const fn written(self) -> Self {
        Self(self.0 | Self::USED)
    }

    /// The same page, whose frame holds zeros again, of the guest's own memory.
    pub(super) const fn cleaned(self) -> Self {
        Self(self.0 & !(Self::USED | Self::RESTORED))
    }

    /// What a program may do with the page.
    pub(super) const fn protection(self) -> Protection {
        if !self.is_present() {
            return Protection::NONE;
        }
        Protection {
            read: true,
            write: self.0 & Self::WRITABLE != 0,
            execute: self.0 & Self::NO_EXECUTE == 0,
        }
    }

    pub(super) const fn is_present(self) -> bool {
        self.0 & Self::PRESENT != 0
    }

    /// Whether a program may access the page so.
    pub(super) const fn permits(self, access: Access) -> bool {
        let needed = Self::PRESENT | Self::USER;
        let is_permitted = match access {
            Access::Read => true,
            Access::Write => self.0 & Self::WRITABLE != 0,
            Access::Execute => self.0 & Self::NO_EXECUTE == 0,
        };
        self.0 & needed == needed && is_permitted
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

    /// Calls `visit` with each leaf entry of `start..end` whose table exists, and stores the
    /// result.
    ///
    /// A range without a table is skipped at the level where the table is missing, since a program
    /// may name terabytes that are not mapped.
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

    /// Makes the tables for `start..end`. The result is `None` if the frames ran out.
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
                    // The upper levels grant all permissions; the leaf decides.
                    entries.store(index, Entry::fixed(fresh, Ring::User, Protection::ALL).0);
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

    /// The leaf table that serves `address`, or the level whose entry for the address is empty.
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
