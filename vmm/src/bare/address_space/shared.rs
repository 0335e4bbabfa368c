//! Frames that the pages of several mappings show at once: the pages of the guest's own files.
//!
//! A file takes its frames from guest RAM, and gives them back when it no longer needs them. A
//! shared mapping (mmap(2) `MAP_SHARED`) shows the file's own frames, so that a write through one
//! mapping is seen through all of them and by `read`. A frame that a mapping still shows when the
//! file gives it back stays as it is until the last mapping is gone.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as MapEntry;
use std::io;

use super::frames::Run;
use super::mapping::{Backing, MapError, Placement, Protection};
use super::page_tables::{Contents, Entry};
use super::{AddressSpace, to_usize, whole_pages};
use crate::devices::host_io::GuestSlices;
use crate::memory::PAGE;

/// A frame that mappings show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shown {
    /// The number of pages that show the frame.
    pages: u64,
    /// Whether the frame's file has it yet.
    is_in_file: bool,
}

/// The frames that mappings show, by their guest physical addresses.
#[derive(Debug, Default)]
pub(super) struct SharedFrames(BTreeMap<u64, Shown>);

impl SharedFrames {
    /// Counts one more page that shows `frame`.
    fn show(&mut self, frame: u64) {
        let shown = self.0.entry(frame).or_insert(Shown {
            pages: 0,
            is_in_file: true,
        });
        shown.pages += 1;
    }

    /// Counts one page less. The result is whether nobody needs the frame any more.
    fn hide(&mut self, frame: u64) -> bool {
        let MapEntry::Occupied(mut shown) = self.0.entry(frame) else {
            return false;
        };
        shown.get_mut().pages -= 1;
        if shown.get().pages > 0 {
            return false;
        }
        !shown.remove().is_in_file
    }

    /// Notes that the frame's file gives it back. The result is whether nobody needs it any more.
    fn give_up(&mut self, frame: u64) -> bool {
        match self.0.get_mut(&frame) {
            Some(shown) => {
                shown.is_in_file = false;
                false
            }
            None => true,
        }
    }
}

impl AddressSpace {
    /// Takes frames of zeros for `length` bytes of a file, in whole pages. The result is `None` if
    /// too few frames are left.
    pub(crate) fn take_file_frames(&self, length: u64) -> Option<Vec<u64>> {
        let take = || self.frames.borrow_mut().take(length);
        let runs = take().or_else(|| {
            self.reclaim();
            take()
        })?;
        Some(runs.into_iter().flat_map(pages_of).collect())
    }

    /// Gives frames of a file back.
    ///
    /// # Errors
    /// The host can't make a frame zero. The guest has lost the frame.
    pub(crate) fn give_back_file_frames(
        &self,
        frames: impl IntoIterator<Item = u64>,
    ) -> io::Result<()> {
        let mut unused = frames.into_iter().collect::<Vec<_>>();
        unused.retain(|&frame| self.shared.borrow_mut().give_up(frame));
        self.free_frames(unused)
    }

    /// The contents of frames of a file, in order.
    pub(crate) fn file_slices(&self, frames: impl IntoIterator<Item = u64>) -> GuestSlices<'_> {
        let mut slices = GuestSlices::default();
        for run in joined(frames) {
            slices.push(&self.ram.slice(run.start, run.length));
        }
        slices
    }

    /// Maps `length` bytes, of which the first pages show `frames` of a file. The others are zeros.
    ///
    /// # Errors
    /// See [`MapError`].
    pub(crate) fn map_shared(
        &mut self,
        place: Placement,
        length: u64,
        protection: Protection,
        frames: &[u64],
    ) -> Result<u64, MapError> {
        let length = whole_pages(length)?;
        let start = self.map(place, length, Protection::NONE, Backing::Anonymous)?;
        let frames = &frames[..frames.len().min(to_usize(length / PAGE))];
        let end = start + frames.len() as u64 * PAGE;
        let mapped = self.make_tables(&(start..end)).and_then(|()| {
            for (page, &frame) in (start..end).step_by(to_usize(PAGE)).zip(frames) {
                self.shared.borrow_mut().show(frame);
                let entry = Entry::owning(frame, Contents::Shared);
                self.tables
                    .update(&self.ram, page, page + PAGE, |_, _| entry);
            }
            self.protect(start, length, protection)
        });
        match mapped {
            Ok(()) => Ok(start),
            Err(error) => {
                // The caller gets the first error: an error of the way back would hide it.
                let _ = self.unmap(start, length);
                Err(error)
            }
        }
    }

    /// Notes that the pages of `run`, which were mapped, show a file no longer.
    pub(super) fn hide_frames(&self, run: Run) -> io::Result<()> {
        // Another mapping may show the frames, so somebody may be about to access them.
        self.stop_others();
        // The frames may stay as they are, so nothing else drops the translations to them.
        self.ram.drop_translations(run.start, run.length)?;
        let unused: Vec<_> = pages_of(run)
            .filter(|&frame| self.shared.borrow_mut().hide(frame))
            .collect();
        self.free_frames(unused)
    }

    fn free_frames(&self, frames: Vec<u64>) -> io::Result<()> {
        let runs = joined(frames);
        self.return_frames(runs.into_iter().map(|run| (run, Contents::Anonymous)))
    }
}

fn pages_of(run: Run) -> impl Iterator<Item = u64> {
    (run.start..run.end()).step_by(to_usize(PAGE))
}

/// Joins frames that follow on each other.
fn joined(frames: impl IntoIterator<Item = u64>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for start in frames {
        match runs.last_mut() {
            Some(last) if last.end() == start => last.length += PAGE,
            _ => runs.push(Run {
                start,
                length: PAGE,
            }),
        }
    }
    runs
}
