//! The steps behind each change of an address space: choosing a place, and giving pages their
//! frames, contents and permission.

use std::io;
use std::ops::Range;

use super::frames::Run;
use super::mapping::{Backing, MapError, Placement, Protection};
use super::page_tables::{Contents, Entry, PageTables};
use super::{AddressSpace, round_up, to_usize, user_range};
use crate::bare::layout::LOW_MAPPINGS;
use crate::memory::PAGE;

impl AddressSpace {
    /// Chooses the start of a mapping of `length` bytes. If the mapping replaces another one, the
    /// place is cleared.
    pub(super) fn place(&mut self, place: Placement, length: u64) -> Result<u64, MapError> {
        match place {
            Placement::Anywhere { hint } => self
                .free_range_at(hint, length)
                .map(|range| range.start)
                .or_else(|| self.areas.find_gap(length))
                .ok_or(MapError::NoMemory),
            Placement::Below2GiB { hint } => self
                .free_range_at(hint, length)
                .filter(|range| range.end <= LOW_MAPPINGS.end)
                .map(|range| range.start)
                .or_else(|| self.areas.find_low_gap(length))
                .ok_or(MapError::NoMemory),
            Placement::Fixed(start) => {
                let range = user_range(start, length)?;
                if !self.areas.is_free(&range) {
                    self.unmap(start, length)?;
                }
                Ok(start)
            }
            Placement::FixedNoReplace(start) => {
                let range = user_range(start, length)?;
                self.areas
                    .is_free(&range)
                    .then_some(start)
                    .ok_or(MapError::Exists)
            }
        }
    }

    /// The range of `length` bytes at the page of `hint`, if a program may map the range and nothing
    /// is mapped there.
    fn free_range_at(&self, hint: u64, length: u64) -> Option<Range<u64>> {
        user_range(hint & !(PAGE - 1), length)
            .ok()
            .filter(|range| self.areas.is_free(range))
    }

    /// Gives the pages of a new mapping their frames, tables and contents.
    pub(super) fn fill(
        &mut self,
        start: u64,
        length: u64,
        protection: Protection,
        backing: Backing<'_>,
    ) -> Result<(), MapError> {
        if self.areas.is_full() {
            return Err(MapError::NoMemory);
        }
        if protection.is_none() && matches!(backing, Backing::Anonymous) {
            return Ok(());
        }
        let contents = match backing {
            Backing::File { .. } => Contents::File,
            Backing::Anonymous | Backing::Bytes(_) => Contents::Anonymous,
        };
        let runs = self.take_frames(start, length)?;
        let mut done = 0;
        for &run in &runs {
            if let Err(error) = self.fill_run(run, done, backing) {
                // The caller gets the first error: an error of the way back would hide it.
                let _ = self.return_frames(runs.into_iter().map(|run| (run, contents)));
                return Err(MapError::Host(error));
            }
            done += run.length;
        }
        self.enter(start, &runs, contents, protection);
        Ok(())
    }

    /// Puts the contents that lie `done` bytes into a mapping into `run`.
    fn fill_run(&self, run: Run, done: u64, backing: Backing<'_>) -> io::Result<()> {
        match backing {
            Backing::Anonymous => Ok(()),
            Backing::Bytes(bytes) => {
                let left = bytes.get(to_usize(done)..).unwrap_or_default();
                let length = left.len().min(to_usize(run.length));
                self.ram.write(run.start, &left[..length]);
                Ok(())
            }
            Backing::File { file, offset } => {
                let offset = offset
                    .checked_add(done)
                    .ok_or(io::ErrorKind::InvalidInput)?;
                let left = file.metadata()?.len().saturating_sub(offset);
                match round_up(left.min(run.length)) {
                    0 => Ok(()),
                    length => self.ram.place_file(run.start, length, file, offset),
                }
            }
        }
    }

    /// Takes frames and makes tables for `length` bytes at `start`.
    fn take_frames(&mut self, start: u64, length: u64) -> Result<Vec<Run>, MapError> {
        let needed = length.saturating_add(PageTables::most_for(length));
        if needed > self.frames.left() {
            self.refused = Some(length);
            return Err(MapError::NoMemory);
        }
        let runs = self.frames.take(length).ok_or(MapError::NoMemory)?;
        self.tables
            .make(&self.ram, &mut self.frames, start, start + length)
            .ok_or(MapError::NoMemory)?;
        Ok(runs)
    }

    /// Makes `runs` zero and free again.
    ///
    /// The guest loses a frame that cannot be made zero: a frame is never handed out with old
    /// contents.
    pub(super) fn return_frames(
        &mut self,
        runs: impl IntoIterator<Item = (Run, Contents)>,
    ) -> io::Result<()> {
        let mut result = Ok(());
        for (run, contents) in runs {
            let cleared = match contents {
                Contents::Anonymous => self.ram.discard(run.start, run.length),
                Contents::File => self.ram.remove_file(run.start, run.length),
            };
            match cleared {
                Ok(()) => self.frames.give_back(run),
                Err(error) => result = Err(error),
            }
        }
        result
    }

    /// Enters `runs`, in order, into the page tables from `start` on.
    fn enter(&mut self, start: u64, runs: &[Run], contents: Contents, protection: Protection) {
        let mut address = start;
        for run in runs {
            self.tables
                .update(&self.ram, address, address + run.length, |page, _| {
                    let frame = run.start + (page - address);
                    Entry::owning(frame, contents).permitting(protection)
                });
            address += run.length;
        }
    }

    /// Gives a frame to every page of `range` that has none.
    pub(super) fn give_frames(&mut self, range: &Range<u64>) -> Result<(), MapError> {
        for gap in self.frameless(range) {
            let runs = self.take_frames(gap.start, gap.end - gap.start)?;
            self.enter(gap.start, &runs, Contents::Anonymous, Protection::NONE);
        }
        Ok(())
    }

    /// The parts of `range` whose pages have no frame.
    fn frameless(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut start = range.start;
        self.tables
            .update(&self.ram, range.start, range.end, |page, entry| {
                if entry.owns_frame() {
                    if start < page {
                        gaps.push(start..page);
                    }
                    start = page + PAGE;
                }
                entry
            });
        if start < range.end {
            gaps.push(start..range.end);
        }
        gaps
    }

    /// The frames that the pages of `range` own.
    pub(super) fn owned_frames(&self, range: &Range<u64>) -> Runs {
        let mut runs = Runs::default();
        self.tables
            .update(&self.ram, range.start, range.end, |_, entry| {
                runs.push(entry);
                entry
            });
        runs
    }

    /// Sets the permission of the pages of `range` that have frames.
    pub(super) fn permit(
        &mut self,
        range: &Range<u64>,
        protection: Protection,
    ) -> Result<(), MapError> {
        let mut lost = Runs::default();
        let mut changed = false;
        self.tables
            .update(&self.ram, range.start, range.end, |_, entry| {
                let new = entry.permitting(protection);
                changed |= entry.is_present() && new != entry;
                if entry.loses_to(new) {
                    lost.push(entry);
                }
                new
            });
        self.has_stale_translations |= changed;
        self.drop_translations(&lost)
    }

    /// Prepares the move of `range` to `to`. Returns the pages of `range` that have frames, with
    /// the address to which each will move, and makes the tables there. Nothing moves yet, and
    /// [`Self::move_pages`] can no longer run out of memory.
    pub(super) fn prepare_move(
        &mut self,
        range: &Range<u64>,
        to: u64,
    ) -> Result<Vec<(u64, Entry)>, MapError> {
        let mut pages = Vec::new();
        self.tables
            .update(&self.ram, range.start, range.end, |page, entry| {
                if entry.owns_frame() {
                    pages.push((to + (page - range.start), entry));
                }
                entry
            });
        for &(page, _) in &pages {
            self.tables
                .make(&self.ram, &mut self.frames, page, page + PAGE)
                .ok_or(MapError::NoMemory)?;
        }
        Ok(pages)
    }

    /// Moves `pages`, which [`Self::prepare_move`] has found in `range`.
    pub(super) fn move_pages(
        &mut self,
        range: &Range<u64>,
        pages: &[(u64, Entry)],
    ) -> Result<(), MapError> {
        self.tables
            .update(&self.ram, range.start, range.end, |_, _| Entry::EMPTY);
        let mut lost = Runs::default();
        for &(page, entry) in pages {
            lost.push(entry);
            self.tables
                .update(&self.ram, page, page + PAGE, |_, _| entry);
        }
        self.has_stale_translations = true;
        self.drop_translations(&lost)
    }

    fn drop_translations(&self, lost: &Runs) -> Result<(), MapError> {
        lost.0.iter().try_for_each(|&(run, _)| {
            self.ram
                .drop_translations(run.start, run.length)
                .map_err(MapError::Host)
        })
    }
}

/// Runs of frames that entries own, with what the frames hold. Adjacent frames are joined.
#[derive(Debug, Default)]
pub(super) struct Runs(pub(super) Vec<(Run, Contents)>);

impl Runs {
    /// Adds the frame of `entry`, if the entry owns one.
    pub(super) fn push(&mut self, entry: Entry) {
        if !entry.owns_frame() {
            return;
        }
        let contents = entry.contents();
        match self.0.last_mut() {
            Some((run, of_run)) if run.end() == entry.frame() && *of_run == contents => {
                run.length += PAGE;
            }
            _ => {
                let run = Run {
                    start: entry.frame(),
                    length: PAGE,
                };
                self.0.push((run, contents));
            }
        }
    }
}
