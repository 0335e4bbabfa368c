//! The guest program's address space: what is mapped where, with which permission.
//!
//! An address space is three things that agree: the *areas* (what Linux calls VMAs), the page
//! tables in guest RAM, and the allocator of guest frames. A small mapping gives every accessible
//! page its frame at once, in few contiguous runs. So an ordinary program never faults into the VMM
//! for memory, and one `preadv` covers a large buffer. The pages of a large mapping get their frames
//! at the first touch, by the program or by a system call ([`lazy`]). The *host* gives memory behind
//! a frame only when somebody touches the frame. Pages without any permission get no frame, so a
//! reservation (`PROT_NONE`) costs nothing.
//!
//! Nothing here enters a VM: tests build an [`AddressSpace`] over a plain [`GuestRam`].
//!
//! Addresses and lengths come from a hostile program. This module checks each of them, and no
//! address makes it panic.

mod areas;
mod frames;
mod lazy;
mod mapping;
mod page_tables;
mod pages;
mod processors;
mod ram;
mod saved;
mod shared;
mod user_memory;

#[cfg(test)]
mod lazy_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod shared_tests;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::sync::Arc;

use crate::bare::layout;
use crate::memory::PAGE;
use areas::Areas;
use frames::Frames;
use page_tables::{Contents, Entry, PageTables};
use pages::Runs;
use shared::SharedFrames;

pub use lazy::{MOST_RESERVED, Touch};
pub use mapping::{Backing, Growth, MapError, Placement, Protection};
pub(crate) use page_tables::Ring;
pub(crate) use processors::OtherProcessors;
pub use ram::{GuestRam, RamError};
pub use saved::SavedSpaceError;
pub(crate) use saved::{PAGE_LENGTH, SavedSpace};
pub use user_memory::{Access, Fault};

/// The address space.
#[derive(Debug)]
pub struct AddressSpace {
    ram: GuestRam,
    /// The vCPUs that must stop before something is taken away from the program, if there may be
    /// some in the guest.
    others: Option<Arc<dyn OtherProcessors>>,
    /// A touch takes frames, and a system call that reads or writes memory may be one.
    frames: RefCell<Frames>,
    tables: PageTables,
    areas: Areas,
    shared: RefCell<SharedFrames>,
    heap: Range<u64>,
    /// The number of times that translations were taken away that a processor may still hold.
    stale_translations: Cell<u64>,
    /// The length of the last mapping that was larger than the guest could ever serve.
    refused: Option<u64>,
    /// Whether a touch has found no frame.
    exhausted: Cell<bool>,
}

impl AddressSpace {
    /// Makes an empty address space over `ram`, whose frames from [`layout::FIRST_FREE_FRAME`] on
    /// are zero.
    ///
    /// # Panics
    /// Never: even [`GuestRam::MIN`] has room for the root page table.
    pub fn new(ram: GuestRam) -> Self {
        let mut frames = Frames::new(layout::FIRST_FREE_FRAME, ram.size());
        let tables = PageTables::new(&mut frames).expect("the least RAM holds a page table");
        Self {
            ram,
            others: None,
            frames: RefCell::new(frames),
            tables,
            areas: Areas::default(),
            shared: RefCell::default(),
            heap: 0..0,
            stale_translations: Cell::new(0),
            refused: None,
            exhausted: Cell::new(false),
        }
    }

    /// The guest RAM under the address space.
    pub fn ram(&self) -> &GuestRam {
        &self.ram
    }

    /// The guest physical address of the root page table.
    pub(crate) fn root(&self) -> u64 {
        self.tables.root()
    }

    /// The page-table entry of `address`.
    fn entry(&self, address: u64) -> Entry {
        self.tables.entry(&self.ram, address)
    }

    /// The bytes of guest RAM that the program can still fill: frames that no page has, and frames
    /// of pages to which nobody has written.
    pub fn free_bytes(&self) -> u64 {
        self.frames.borrow().left() + self.clean_bytes()
    }

    /// Whether something is mapped at `address`.
    pub fn is_mapped(&self, address: u64) -> bool {
        self.areas.at(address).is_some()
    }

    /// The length in bytes of the last mapping that was larger than the guest could ever serve, if
    /// there was one.
    pub fn refused(&self) -> Option<u64> {
        self.refused
    }

    /// The mapped ranges, lowest first (`/proc/self/maps`).
    pub fn areas(&self) -> impl Iterator<Item = (Range<u64>, Protection)> + '_ {
        self.areas.iter()
    }

    /// Maps a page that no program may change: a page of ring 0, or the system-call stub.
    pub(crate) fn map_trampoline(
        &mut self,
        address: u64,
        frame: u64,
        ring: Ring,
        protection: Protection,
    ) {
        let made = self
            .tables
            .make(&self.ram, self.frames.get_mut(), address, address + PAGE);
        debug_assert!(made.is_some(), "the trampoline is mapped first");
        self.tables
            .update(&self.ram, address, address + PAGE, |_, _| {
                Entry::fixed(frame, ring, protection)
            });
    }

    /// Maps `length` bytes (rounded up to whole pages) and returns the address.
    ///
    /// # Errors
    /// See [`MapError`].
    pub fn map(
        &mut self,
        place: Placement,
        length: u64,
        protection: Protection,
        backing: Backing<'_>,
    ) -> Result<u64, MapError> {
        let length = whole_pages(length)?;
        if matches!(backing, Backing::Anonymous) {
            self.check_reservation(length, protection)?;
        }
        let start = self.place(place, length)?;
        self.fill(start, length, protection, backing)?;
        self.areas.insert(start, start + length, protection);
        Ok(start)
    }

    /// Unmaps the pages of `start..start + length`, mapped or not.
    ///
    /// # Errors
    /// [`MapError::BadRange`], [`MapError::NoMemory`] (too many areas), [`MapError::Host`].
    pub fn unmap(&mut self, start: u64, length: u64) -> Result<(), MapError> {
        let range = user_range(start, length)?;
        self.areas.cut(&range)?;
        self.stop_users(&range);
        let mut freed = Runs::default();
        self.tables
            .update(&self.ram, range.start, range.end, |_, entry| {
                freed.push(entry);
                Entry::EMPTY
            });
        self.note_stale_translations(!freed.0.is_empty());
        self.return_frames(freed.0).map_err(MapError::Host)
    }

    /// Makes the host put memory of the guest's own behind the pages of `range`, before the program
    /// touches them. KVM's shadow pager maps a page for writing at once only if it counts as written.
    pub(crate) fn warm(&self, range: &Range<u64>) {
        for (run, _) in self.owned_frames(range).0 {
            self.ram.populate(run.start, run.length);
        }
        self.tables
            .update(&self.ram, range.start, range.end, |_, entry| {
                if entry.owns_frame() {
                    entry.written()
                } else {
                    entry
                }
            });
    }

    /// Changes the permission of `start..start + length`. All of the range must be mapped.
    ///
    /// # Errors
    /// See [`MapError`].
    pub fn protect(
        &mut self,
        start: u64,
        length: u64,
        protection: Protection,
    ) -> Result<(), MapError> {
        if length == 0 && start.is_multiple_of(PAGE) {
            return Ok(());
        }
        let range = user_range(start, length)?;
        if !self.areas.is_covered(&range) {
            return Err(MapError::NotMapped);
        }
        self.areas.cut(&range)?;
        self.areas.insert(range.start, range.end, protection);
        self.permit(&range, protection)?;
        self.give_frames_if_small(&range, protection);
        Ok(())
    }

    /// Makes anonymous pages zero, and makes private pages of a file show the file again
    /// (`MADV_DONTNEED`).
    ///
    /// # Errors
    /// See [`MapError`].
    pub fn discard(&mut self, start: u64, length: u64) -> Result<(), MapError> {
        let range = user_range(start, length)?;
        if !self.areas.is_covered(&range) {
            return Err(MapError::NotMapped);
        }
        self.stop_users(&range);
        let runs = self.owned_frames(&range);
        self.replace_restored(&runs).map_err(MapError::Host)?;
        for (run, contents) in runs.0 {
            if matches!(contents, Contents::Anonymous | Contents::File) {
                self.ram
                    .discard(run.start, run.length)
                    .map_err(MapError::Host)?;
            }
        }
        // KVM has dropped the translations (see `GuestRam::discard`), so the processor marks a page
        // again at the next write.
        self.tables
            .update(&self.ram, range.start, range.end, |_, entry| {
                match entry.contents() {
                    Contents::Anonymous | Contents::Restored => entry.cleaned(),
                    Contents::File | Contents::Shared => entry,
                }
            });
        Ok(())
    }

    /// Grows, shrinks or moves a mapping (mremap(2) without `MREMAP_FIXED`) and returns its
    /// address.
    ///
    /// A file's mapping can't grow: the address space doesn't keep the file, which the new pages
    /// would have to show.
    ///
    /// # Errors
    /// See [`MapError`].
    pub fn remap(
        &mut self,
        old: u64,
        old_length: u64,
        new_length: u64,
        growth: Growth,
    ) -> Result<u64, MapError> {
        let range = user_range(old, old_length)?;
        let new_length = whole_pages(new_length)?;
        let protection = self
            .areas
            .protection_of(&range)
            .ok_or(MapError::NotMapped)?;
        let old_length = range.end - range.start;
        if new_length <= old_length {
            if new_length < old_length {
                self.unmap(old + new_length, old_length - new_length)?;
            }
            return Ok(old);
        }
        let last = self.entry(range.end - PAGE).contents();
        if !matches!(last, Contents::Anonymous | Contents::Restored) {
            return Err(MapError::NoMemory);
        }
        let more = new_length - old_length;
        let place = Placement::FixedNoReplace(range.end);
        match self.map(place, more, protection, Backing::Anonymous) {
            Ok(_) => return Ok(old),
            Err(MapError::Exists | MapError::BadRange) if growth == Growth::MayMove => {}
            Err(MapError::Exists | MapError::BadRange) => return Err(MapError::NoMemory),
            Err(error) => return Err(error),
        }
        let start = self.place(Placement::Anywhere { hint: 0 }, new_length)?;
        self.stop_users(&range);
        let pages = self.prepare_move(&range, start)?;
        self.fill(start + old_length, more, protection, Backing::Anonymous)?;
        self.areas.cut(&range)?;
        self.areas.insert(start, start + new_length, protection);
        self.move_pages(&range, &pages)?;
        Ok(start)
    }

    /// The heap, from its start to the program's break.
    pub fn heap(&self) -> Range<u64> {
        self.heap.clone()
    }

    /// Sets the start of the heap, which is empty.
    pub(crate) fn start_heap(&mut self, start: u64) {
        self.heap = start..start;
    }

    /// Moves the end of the heap to `wanted` if there is room, and returns the end (brk(2)).
    pub fn set_break(&mut self, wanted: u64) -> u64 {
        if wanted < self.heap.start || wanted > layout::USER_END {
            return self.heap.end;
        }
        let (old_end, new_end) = (round_up(self.heap.end), round_up(wanted));
        let changed = match new_end.checked_sub(old_end) {
            Some(0) => Ok(()),
            Some(more) => self
                .map(
                    Placement::FixedNoReplace(old_end),
                    more,
                    Protection::READ_WRITE,
                    Backing::Anonymous,
                )
                .map(|_| ()),
            None => self.unmap(new_end, old_end - new_end),
        };
        if changed.is_ok() {
            self.heap.end = wanted;
        }
        self.heap.end
    }
}

/// Rounds `length` up to whole pages. A length of zero is an error.
fn whole_pages(length: u64) -> Result<u64, MapError> {
    match length {
        0 => Err(MapError::BadRange),
        1..=layout::USER_END => Ok(round_up(length)),
        _ => Err(MapError::NoMemory),
    }
}

/// The pages of `start..start + length` where a program may map.
fn user_range(start: u64, length: u64) -> Result<Range<u64>, MapError> {
    let length = whole_pages(length)?;
    let end = start.checked_add(length).ok_or(MapError::BadRange)?;
    let fits = start.is_multiple_of(PAGE) && start >= layout::USER_START && end <= layout::USER_END;
    fits.then_some(start..end).ok_or(MapError::BadRange)
}

/// The next whole page; `value` is at most [`layout::USER_END`].
const fn round_up(value: u64) -> u64 {
    value.next_multiple_of(PAGE)
}

/// A guest quantity as an index. On x86-64, `usize` holds every one.
fn to_usize(value: u64) -> usize {
    usize::try_from(value).expect("a 64-bit host")
}
