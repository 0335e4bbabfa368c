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
        if matches!(backing, Backing::Anonymous | Backing::Unreserved) {
            self.give_frames_if_small(&(start..start + length), protection);
            return Ok(());
        }
        let contents = match backing {
            Backing::File { .. } => Contents::File,
            Backing::Anonymous | Backing::Unreserved | Backing::Bytes(_) => Contents::Anonymous,
        };
        let runs = self.take_frames_for_contents(start, length)?;
        let mut done = 0;
        for &run in &runs {
            if let Err(error) = self.fill_run(run, done, backing) {
                // The caller gets the first error: an error of the way back would hide it.
                let _ = self.return_frames(runs.into_iter().map(|run| (run, contents)));
                return Err(MapError::Host(error));
            }
            done += run.length;
        }
        let page = |frame| Entry::owning(frame, contents).written();
        self.enter(start, &runs, |frame| page(frame).permitting(protection));
        Ok(())
    }

    /// Takes frames for pages whose contents are needed at once.
    fn take_frames_for_contents(&mut self, start: u64, length: u64) -> Result<Vec<Run>, MapError> {
        self.take_frames(start, length)
            .or_else(|| {
                self.reclaim();
                self.take_frames(start, length)
            })
            .ok_or_else(|| {
                self.refused = Some(length);
                MapError::NoMemory
            })
    }

    /// Puts the contents that lie `done` bytes into a mapping into `run`.
    fn fill_run(&self, run: Run, done: u64, backing: Backing<'_>) -> io::Result<()> {
        match backing {
            Backing::Anonymous | Backing::Unreserved => Ok(()),
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

    /// Takes frames and makes tables for `length` bytes at `start`. The result is `None` if too few
    /// frames are left.
    fn take_frames(&self, start: u64, length: u64) -> Option<Vec<Run>> {
        let mut frames = self.frames.borrow_mut();
        if length.saturating_add(PageTables::most_for(length)) > frames.left() {
            return None;
        }
        let runs = frames.take(length)?;
        self.tables
            .make(&self.ram, &mut frames, start, start + length)?;
        Some(runs)
    }

    /// Makes `runs` zero and free again.
    ///
    /// The guest loses a frame that cannot be made zero: a frame is never handed out with old
    /// contents.
    pub(super) fn return_frames(
        &self,
        runs: impl IntoIterator<Item = (Run, Contents)>,
    ) -> io::Result<()> {
        let mut result = Ok(());
        for (run, contents) in runs {
            let cleared = match contents {
                Contents::Shared => {
                    result = result.and(self.hide_frames(run));
                    continue;
                }
                Contents::Anonymous => self.ram.discard(run.start, run.length),
                Contents::File | Contents::Restored => self.ram.remove_file(run.start, run.length),
            };
            match cleared {
                Ok(()) => self.frames.borrow_mut().give_back(run),
                Err(error) => result = Err(error),
            }
        }
        result
    }

    /// Enters `runs`, in order, into the page tables from `start` on, with the `entry` of each
    /// frame.
    fn enter(&self, start: u64, runs: &[Run], entry: impl Fn(u64) -> Entry) {
        let mut address = start;
        for run in runs {
            self.tables
                .update(&self.ram, address, address + run.length, |page, _| {
                    entry(run.start + (page - address))
                });
            address += run.length;
        }
    }

    /// Gives a frame of zeros to every page of `range` that has none, if those are few and the
    /// program may use them. If not, each gets its frame at the first touch.
    pub(super) fn give_frames_if_small(&self, range: &Range<u64>, protection: Protection) {
        if !protection.is_none() && self.is_small(range.end - range.start) {
            self.give_frames(range, protection);
        }
    }

    /// Gives a frame of zeros to every page of `range` that has none. The result is whether the
    /// frames sufficed; if not, some pages may have a frame now.
    pub(super) fn give_frames(&self, range: &Range<u64>, protection: Protection) -> bool {
        self.frameless(range).into_iter().all(|gap| {
            let Some(runs) = self.take_frames(gap.start, gap.end - gap.start) else {
                return false;
            };
            self.enter(gap.start, &runs, |frame| {
                Entry::owning(frame, Contents::Anonymous).permitting(protection)
            });
            true
        })
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
        self.stop_users(range);
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
        self.note_stale_translations(changed);
        self.drop_translations(&lost)
    }

    /// Prepares the move of `range` to `to`. Returns the pages of `range` that hold something, with
    /// the address to which each will move, and makes the tables there. Nothing moves yet, and
    /// [`Self::move_pages`] can no longer run out of memory.
    pub(super) fn prepare_move(
        &self,
        range: &Range<u64>,
        to: u64,
    ) -> Result<Vec<(u64, Entry)>, MapError> {
        let mut pages = Vec::new();
        self.tables
            .update(&self.ram, range.start, range.end, |page, entry| {
                if entry.owns_frame() && !entry.is_clean() {
                    pages.push((to + (page - range.start), entry));
                }
                entry
            });
        for &(page, _) in &pages {
            self.make_tables(&(page..page + PAGE))?;
        }
        Ok(pages)
    }

    /// Makes the tables that serve `range`.
    pub(super) fn make_tables(&self, range: &Range<u64>) -> Result<(), MapError> {
        let make = || {
            let mut frames = self.frames.borrow_mut();
            self.tables
                .make(&self.ram, &mut frames, range.start, range.end)
        };
        make()
            .or_else(|| {
                self.reclaim();
                make()
            })
            .ok_or(MapError::NoMemory)
    }

    /// Moves `pages`, which [`Self::prepare_move`] has found in `range`. The frames of clean pages
    /// stay behind.
    pub(super) fn move_pages(
        &mut self,
        range: &Range<u64>,
        pages: &[(u64, Entry)],
    ) -> Result<(), MapError> {
        let mut clean = Runs::default();
        self.tables
            .update(&self.ram, range.start, range.end, |_, entry| {
                if entry.is_clean() {
                    clean.push(entry);
                }
                Entry::EMPTY
            });
        let mut lost = Runs::default();
        for &(page, entry) in pages {
            lost.push(entry);
            self.tables
                .update(&self.ram, page, page + PAGE, |_, _| entry);
        }
        self.note_stale_translations(true);
        self.return_frames(clean.0).map_err(MapError::Host)?;
        self.drop_translations(&lost)
    }

    fn drop_translations(&self, lost: &Runs) -> Result<(), MapError> {
        if !lost.0.is_empty() {
            // Nobody may access the pages meanwhile: KVM would find no memory there.
            self.stop_others();
        }
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
