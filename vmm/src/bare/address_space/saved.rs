//! An address space as a snapshot keeps it: which pages hold something, and in which frames.
//!
//! A snapshot's file may be damaged or hostile. So page tables are not saved: the VMM makes them
//! anew, from a list of pages that is checked against guest memory and against itself. A page that
//! is clean is not saved either: it gets a frame at its first touch.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use serde::{Deserialize, Serialize};

use super::frames::Run;
use super::mapping::Protection;
use super::page_tables::{Contents, Entry};
use super::pages::Runs;
use super::{AddressSpace, user_range};
use crate::bare::layout;
use crate::memory::PAGE;

/// The bytes of a page, as the length of an array.
pub(crate) const PAGE_LENGTH: usize = 4096;

/// The most runs of pages that are mapped from the file. A process has a limit of mappings
/// (`vm.max_map_count`, 65,530), and many small ones are slower than a copy.
const MOST_MAPPED: usize = 8192;

/// An address space without its pages' contents.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedSpace {
    areas: Vec<SavedArea>,
    /// The start and the end of the heap.
    heap: (u64, u64),
    pages: Vec<SavedPages>,
}

/// A mapped range.
#[derive(Debug, Serialize, Deserialize)]
struct SavedArea {
    start: u64,
    end: u64,
    protection: u64,
}

/// Adjacent pages in adjacent frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct SavedPages {
    /// The address of the first page.
    address: u64,
    /// The guest physical address of the first frame.
    frame: u64,
    /// In bytes.
    length: u64,
    protection: u64,
    /// Whether the pages show a file, and do so again after `MADV_DONTNEED`.
    is_file: bool,
}

impl SavedPages {
    fn run(&self) -> Run {
        Run {
            start: self.frame,
            length: self.length,
        }
    }

    /// Whether `next` goes on where these pages end.
    fn is_followed_by(&self, next: &Self) -> bool {
        self.address + self.length == next.address
            && self.frame + self.length == next.frame
            && self.protection == next.protection
            && self.is_file == next.is_file
    }
}

/// An address space can't be saved, or a saved one can't be restored.
#[derive(Debug, thiserror::Error)]
pub enum SavedSpaceError {
    /// The program shares memory with a file of its own.
    #[error("the program has mapped a file of its own with MAP_SHARED")]
    Shared,
    /// A list of the snapshot contradicts itself, or names memory that the guest doesn't have.
    #[error("the snapshot is damaged: {what}")]
    Damaged {
        /// The contradiction.
        what: &'static str,
    },
    /// The host refuses a mapping.
    #[error("mapping the snapshot's pages")]
    Map(#[source] io::Error),
}

const fn damaged(what: &'static str) -> SavedSpaceError {
    SavedSpaceError::Damaged { what }
}

impl SavedSpace {
    /// The frames with contents, in the order in which a snapshot keeps them.
    pub(crate) fn frames(&self) -> impl Iterator<Item = Run> + '_ {
        self.pages.iter().map(SavedPages::run)
    }
}

impl AddressSpace {
    /// What a snapshot keeps of this address space beside the contents of its pages.
    ///
    /// # Errors
    /// [`SavedSpaceError::Shared`]
    pub(crate) fn save(&self) -> Result<SavedSpace, SavedSpaceError> {
        let mut pages: Vec<SavedPages> = Vec::new();
        let mut is_shared = false;
        let all = layout::USER_START..layout::USER_END;
        self.tables
            .update(&self.ram, all.start, all.end, |address, entry| {
                is_shared |= entry.owns_frame() && entry.contents() == Contents::Shared;
                if !entry.owns_frame() || entry.is_clean() {
                    return entry;
                }
                let page = SavedPages {
                    address,
                    frame: entry.frame(),
                    length: PAGE,
                    protection: entry.protection().bits(),
                    is_file: entry.contents() == Contents::File,
                };
                match pages.last_mut() {
                    Some(last) if last.is_followed_by(&page) => last.length += PAGE,
                    _ => pages.push(page),
                }
                entry
            });
        if is_shared {
            return Err(SavedSpaceError::Shared);
        }
        Ok(SavedSpace {
            areas: self
                .areas
                .iter()
                .map(|(area, protection)| SavedArea {
                    start: area.start,
                    end: area.end,
                    protection: protection.bits(),
                })
                .collect(),
            heap: (self.heap.start, self.heap.end),
            pages,
        })
    }

    /// Fills this address space, in which nothing but the trampoline is mapped, with what a snapshot
    /// has kept. The pages' contents begin at `offset` in `file`, and are mapped copy-on-write.
    ///
    /// # Errors
    /// See [`SavedSpaceError`].
    pub(crate) fn restore(
        &mut self,
        saved: &SavedSpace,
        file: &File,
        mut offset: u64,
    ) -> Result<(), SavedSpaceError> {
        for &SavedArea {
            start,
            end,
            protection,
        } in &saved.areas
        {
            let protection = Protection::from_bits(protection);
            let protection = protection.ok_or(damaged("a permission is none"))?;
            let length = end.checked_sub(start);
            let range = length.and_then(|length| user_range(start, length).ok());
            let range = range.filter(|range| range.end == end && self.areas.is_free(range));
            let range = range.ok_or(damaged("an area can't be where it is"))?;
            self.areas.insert(range.start, range.end, protection);
        }
        let (start, end) = saved.heap;
        if start > end || !(layout::USER_START..=layout::USER_END).contains(&end) {
            return Err(damaged("the heap can't be where it is"));
        }
        self.heap = start..end;
        for pages in &saved.pages {
            self.check_pages(pages)?;
            if !self.frames.get_mut().take_at(pages.run()) {
                return Err(damaged("a frame can't be where it is"));
            }
        }
        let are_mapped = saved.pages.len() <= MOST_MAPPED;
        for pages in &saved.pages {
            let run = pages.run();
            let contents = match (pages.is_file, are_mapped) {
                (true, _) => Contents::File,
                (false, true) => Contents::Restored,
                (false, false) => Contents::Anonymous,
            };
            self.restore_pages(pages, contents)?;
            let brought = match contents {
                Contents::Anonymous => self.copy_pages(run, file, offset),
                _ => self.ram.place_file(run.start, run.length, file, offset),
            };
            brought.map_err(SavedSpaceError::Map)?;
            offset += run.length;
        }
        Ok(())
    }

    /// Copies the contents of pages from `offset` in `file` on.
    fn copy_pages(&self, run: Run, file: &File, offset: u64) -> io::Result<()> {
        let mut page = [0; PAGE_LENGTH];
        for done in (0..run.length).step_by(PAGE_LENGTH) {
            file.read_exact_at(&mut page, offset + done)?;
            self.ram.write(run.start + done, &page);
        }
        Ok(())
    }

    /// Checks that `pages` are where a program may have pages.
    fn check_pages(&self, pages: &SavedPages) -> Result<(), SavedSpaceError> {
        let range = user_range(pages.address, pages.length);
        let is_whole = pages.frame.is_multiple_of(PAGE) && pages.length.is_multiple_of(PAGE);
        match range {
            Ok(range) if is_whole && self.areas.is_covered(&range) => Ok(()),
            _ => Err(damaged("a page can't be where it is")),
        }
    }

    /// Enters `pages`, which have been checked, into the page tables.
    fn restore_pages(
        &mut self,
        pages: &SavedPages,
        contents: Contents,
    ) -> Result<(), SavedSpaceError> {
        let protection = Protection::from_bits(pages.protection);
        let protection = protection.ok_or(damaged("a permission is none"))?;
        let range = pages.address..pages.address + pages.length;
        self.tables
            .make(&self.ram, self.frames.get_mut(), range.start, range.end)
            .ok_or(damaged("no frame is left for a page table"))?;
        let mut is_taken = false;
        self.tables
            .update(&self.ram, range.start, range.end, |page, before| {
                is_taken |= before != Entry::EMPTY;
                let frame = pages.frame + (page - range.start);
                Entry::owning(frame, contents)
                    .written()
                    .permitting(protection)
            });
        if is_taken {
            return Err(damaged("two frames have one address"));
        }
        Ok(())
    }

    /// Fills the page of `address` with zeros, if there is one.
    pub(crate) fn clear_page(&self, address: u64) {
        let entry = self.entry(address);
        if entry.owns_frame() {
            self.ram.write(entry.frame(), &[0; PAGE_LENGTH]);
        }
    }

    /// Gives anonymous memory of zeros to pages that a snapshot has brought.
    pub(super) fn replace_restored(&self, runs: &Runs) -> io::Result<()> {
        let restored = |contents: &Contents| *contents == Contents::Restored;
        runs.0
            .iter()
            .filter(|(_, contents)| restored(contents))
            .try_for_each(|(run, _)| self.ram.remove_file(run.start, run.length))
    }
}
