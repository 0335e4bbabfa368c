//! The steps behind each change of an address space: choosing a place, and giving pages frames, contents and
//! permission.

use std::io;
use std::ops::Range;

use super::super::frames::Run;
use super::super::mapping::{Backing, MapError, Placement, Protection};
use super::super::page_tables::{Entry, PageTables};
use super::{AddressSpace, round_up, to_usize, user_range};
use crate::memory::PAGE;

/// The steps of the changes above.
impl AddressSpace {
    /// Chooses the start of a mapping of `length` bytes, and clears the place if it is to be replaced.
    pub(super) fn place(&mut self, place: Placement, length: u64) -> Result<u64, MapError> {
        match place {
            Placement::Anywhere { hint } => {
                let wish = user_range(hint & !(PAGE - 1), length).ok();
                match wish.filter(|range| self.areas.is_free(range)) {
                    Some(range) => Ok(range.start),
                    None => self.areas.find_gap(length).ok_or(MapError::NoMemory),
                }
            }
            Placement::Fixed(start) => {
                user_range(start, length)?;
                self.unmap(start, length)?;
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
        let access = protection.access();
        if access.is_none() && matches!(backing, Backing::Anonymous) {
            return Ok(());
        }
        let is_file = matches!(backing, Backing::File { .. });
        let runs = self.take_frames(start, length)?;
        let mut done = 0;
        for &run in &runs {
            if let Err(error) = self.fill_run(run, done, backing) {
                // The error that came first tells more than one on the way back.
                let _ = self.return_frames(runs.into_iter().map(|run| (run, is_file)));
                return Err(MapError::Host(error));
            }
            done += run.length;
        }
        self.enter(start, &runs, is_file, access);
        Ok(())
    }

    /// Puts what belongs `done` bytes into a mapping into `run`.
    pub(super) fn fill_run(&self, run: Run, done: u64, backing: Backing<'_>) -> io::Result<()> {
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
    pub(super) fn take_frames(&mut self, start: u64, length: u64) -> Result<Vec<Run>, MapError> {
        let needed = length.saturating_add(PageTables::most_for(length));
        if needed > self.frames.left() {
            return Err(MapError::NoMemory);
        }
        let runs = self.frames.take(length).ok_or(MapError::NoMemory)?;
        self.tables
            .make(&self.ram, &mut self.frames, start, start + length)
            .ok_or(MapError::NoMemory)?;
        Ok(runs)
    }

    /// Makes `runs` zero and free again, each with whether it shows a file.
    ///
    /// A frame that cannot be made zero is lost to the guest, not handed out with old contents.
    pub(super) fn return_frames(
        &mut self,
        runs: impl IntoIterator<Item = (Run, bool)>,
    ) -> io::Result<()> {
        let mut result = Ok(());
        for (run, is_file) in runs {
            match self.ram.discard(run.start, run.length, is_file) {
                Ok(()) => self.frames.give_back(run),
                Err(error) => result = Err(error),
            }
        }
        result
    }

    /// Enters `runs`, in order, into the page tables from `start` on.
    pub(super) fn enter(
        &mut self,
        start: u64,
        runs: &[Run],
        is_file: bool,
        access: Option<(bool, bool)>,
    ) {
        let mut address = start;
        for run in runs {
            self.tables
                .update(&self.ram, address, address + run.length, |page, _| {
                    let frame = run.start + (page - address);
                    Entry::owning(frame, is_file).permitting(access)
                });
            address += run.length;
        }
    }

    /// Gives every page of `range` that has no frame one.
    pub(super) fn give_frames(&mut self, range: &Range<u64>) -> Result<(), MapError> {
        for gap in self.frameless(range) {
            let runs = self.take_frames(gap.start, gap.end - gap.start)?;
            self.enter(gap.start, &runs, false, None);
        }
        Ok(())
    }

    /// The parts of `range` whose pages have no frame.
    pub(super) fn frameless(&self, range: &Range<u64>) -> Vec<Range<u64>> {
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

    /// Sets the permission of the pages of `range` that have frames.
    pub(super) fn permit(
        &mut self,
        range: &Range<u64>,
        protection: Protection,
    ) -> Result<(), MapError> {
        let access = protection.access();
        let mut lost = Runs::default();
        let mut changed = false;
        self.tables
            .update(&self.ram, range.start, range.end, |_, entry| {
                let new = entry.permitting(access);
                changed |= entry.is_present() && new != entry;
                if entry.loses_to(new) {
                    lost.push(entry);
                }
                new
            });
        self.stale |= changed;
        self.drop_translations(&lost)
    }

    /// The pages of `range` that have frames, with where each goes when the range moves to `to`; and the tables for
    /// them there. Nothing has moved yet, and nothing can fail any more when it does.
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
        self.stale = true;
        self.drop_translations(&lost)
    }

    pub(super) fn drop_translations(&self, lost: &Runs) -> Result<(), MapError> {
        lost.0.iter().try_for_each(|&(run, _)| {
            self.ram
                .drop_translations(run.start, run.length)
                .map_err(MapError::Host)
        })
    }
}

/// Runs of frames that entries own, adjacent ones joined.
#[derive(Debug, Default)]
pub(super) struct Runs(pub(super) Vec<(Run, bool)>);

impl Runs {
    pub(super) fn push(&mut self, entry: Entry) {
        if !entry.owns_frame() {
            return;
        }
        match self.0.last_mut() {
            Some((run, is_file)) if run.end() == entry.frame() && *is_file == entry.is_file() => {
                run.length += PAGE;
            }
            _ => self.0.push((
                Run {
                    start: entry.frame(),
                    length: PAGE,
                },
                entry.is_file(),
            )),
        }
    }
}
