//! Pages without a frame: which mappings start without frames, how a page gets its frame at its
//! first touch, and how frames come back to which nobody has written.
//!
//! A program may map far more than the guest has, as on Linux: what counts is what it writes. A
//! small mapping gets its frames at once all the same, and a touch gives frames to neighbours as
//! well, since each fault costs a VM exit. Neither takes memory from the program for good: once no
//! frame is left, the *clean* pages lose theirs ([`Entry::is_clean`]).

use std::ops::Range;

use super::page_tables::Entry;
use super::pages::Runs;
use super::{Access, AddressSpace, MapError, Protection, round_up};
use crate::bare::layout;
use crate::memory::PAGE;

/// The most bytes that the program may map for writing at once, unless the guest has more memory
/// than this or the program asks for no reservation (`MAP_NORESERVE`). Linux allows as much as the
/// machine has, memory and swap (`__vm_enough_memory` in `mm/util.c`), whatever the limit of a
/// container. A guest must not depend on its host, so this is a large machine's memory.
pub const MOST_RESERVED: u64 = 64 << 30;

/// A mapping that takes at most one part in so many of the free frames gets them at once, and a touch
/// gives at most as many.
const PARTS: u64 = 16;

/// The most bytes to which one touch gives frames. One exit for them is little beside the faults of
/// the 256 pages, each of which the host has to fill.
const MOST_AT_A_TOUCH: u64 = 1 << 20;

/// What became of a touch of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// The page has a frame and permits the access, which can be repeated.
    Given,
    /// The program may not do this, or the page had a frame before.
    NotAllowed,
    /// No frame is left. Linux would kill the program.
    Exhausted,
}

impl AddressSpace {
    /// Gives a frame to the page of `address`, which the program has accessed and which had none.
    pub fn touch(&self, address: u64, access: Access) -> Touch {
        self.touch_all(&(address..address), access)
    }

    /// The same for all pages of `range` in the area at its start, for an access to all of them.
    pub(super) fn touch_all(&self, range: &Range<u64>, access: Access) -> Touch {
        let Some((area, protection)) = self.areas.at(range.start) else {
            return Touch::NotAllowed;
        };
        let entry = self.entry(range.start);
        if entry.permits(access) {
            // Another vCPU was faster.
            return Touch::Given;
        }
        if !access.is_permitted_by(protection) || entry.owns_frame() {
            return Touch::NotAllowed;
        }
        let page = range.start & !(PAGE - 1);
        let end = round_up(range.end).clamp(page + PAGE, area.end);
        if self.give_around(&(page..end), &area, protection) {
            return Touch::Given;
        }
        self.reclaim();
        if self.give_around(&(page..end), &area, protection) {
            return Touch::Given;
        }
        self.exhausted.set(true);
        Touch::Exhausted
    }

    /// Whether a touch has found no frame: Linux would have killed the program.
    pub fn is_exhausted(&self) -> bool {
        self.exhausted.get()
    }

    /// Whether a new mapping of `length` bytes gets its frames at once.
    pub(super) fn is_small(&self, length: u64) -> bool {
        length <= self.frames.borrow().left() / PARTS
    }

    /// Checks that the program may map `length` bytes of which it may write each.
    pub(super) fn check_reservation(
        &mut self,
        length: u64,
        protection: Protection,
    ) -> Result<(), MapError> {
        if protection.write && length > MOST_RESERVED.max(self.ram.size()) {
            self.refused = Some(length);
            return Err(MapError::NoMemory);
        }
        Ok(())
    }

    /// Gives frames to `pages`, and to others of their area around the first. The result is whether
    /// the frames sufficed.
    fn give_around(&self, pages: &Range<u64>, area: &Range<u64>, protection: Protection) -> bool {
        let left = self.frames.borrow().left() / PARTS;
        let size = left.checked_ilog2().map_or(0, |bits| 1 << bits);
        let size: u64 = size.clamp(PAGE, MOST_AT_A_TOUCH);
        let first = pages.start & !(size - 1);
        let around = first.max(area.start)..(first + size).min(area.end).max(pages.end);
        self.give_frames(&around, protection)
    }

    /// Takes back the frames of all clean pages. The pages hold zeros as before.
    pub(super) fn reclaim(&self) {
        // A page that is clean now could be written before its frame is taken.
        self.stop_others();
        let (mut unused, mut read) = (Runs::default(), Runs::default());
        let all = layout::USER_START..layout::USER_END;
        self.tables
            .update(&self.ram, all.start, all.end, |_, entry| {
                if !entry.is_clean() {
                    return entry;
                }
                if entry.is_accessed() {
                    read.push(entry);
                } else {
                    unused.push(entry);
                }
                Entry::EMPTY
            });
        // Neither the host nor the processor knows of a frame that nobody has used: nothing has to
        // be taken from them. That saves thousands of calls of the host if the program uses a page
        // here and there.
        let mut frames = self.frames.borrow_mut();
        unused.0.iter().for_each(|&(run, _)| frames.give_back(run));
        drop(frames);
        self.note_stale_translations(!read.0.is_empty());
        // A frame that the host can't make fresh is lost to the guest, and no other harm is done.
        let _ = self.return_frames(read.0);
    }

    /// The bytes of the frames of all clean pages.
    pub(super) fn clean_bytes(&self) -> u64 {
        let mut clean = 0;
        self.tables.update(
            &self.ram,
            layout::USER_START,
            layout::USER_END,
            |_, entry| {
                clean += u64::from(entry.is_clean()) * PAGE;
                entry
            },
        );
        clean
    }

    /// The frame from which a system call reads the page of `address`, if the program may read
    /// there. A clean page may lose its frame while the call uses it, so all of them are read from
    /// one page of zeros.
    pub(super) fn frame_to_read(&self, address: u64) -> Option<u64> {
        let entry = self.entry(address);
        if entry.permits(Access::Read) && !entry.is_clean() {
            return Some(entry.frame());
        }
        let is_zero = entry.permits(Access::Read)
            || !entry.owns_frame()
                && self
                    .areas
                    .at(address)
                    .is_some_and(|(_, protection)| Access::Read.is_permitted_by(protection));
        is_zero.then_some(layout::ZERO_FRAME)
    }

    /// The frame to which a system call writes the page of `range.start`, if the program may write
    /// there. The call is about to write to all of `range`.
    pub(super) fn frame_to_write(&self, range: &Range<u64>) -> Option<u64> {
        let mut entry = self.entry(range.start);
        if !entry.owns_frame() {
            if self.touch_all(range, Access::Write) != Touch::Given {
                return None;
            }
            entry = self.entry(range.start);
        }
        if !entry.permits(Access::Write) {
            return None;
        }
        if entry.is_clean() {
            let page = range.start & !(PAGE - 1);
            self.tables
                .update(&self.ram, page, page + PAGE, |_, entry| entry.written());
        }
        Some(entry.frame())
    }
}
