//! The contents of a scratch file: pages of guest memory, with holes where nothing was written.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use nix::errno::Errno;

use super::budget::Budget;
use crate::bare::address_space::AddressSpace;
use crate::devices::host_io::{self, GuestSlices};
use crate::memory::PAGE;

/// One past the last byte that a file can have (Linux `MAX_LFS_FILESIZE`, in whole pages).
pub(in super::super) const LARGEST: u64 = (i64::MAX as u64) & !(PAGE - 1);

/// A file's contents.
#[derive(Debug, Default)]
pub(in super::super) struct Contents {
    size: u64,
    /// The frame of each page that is no hole, by the page's number.
    frames: BTreeMap<u64, u64>,
}

/// The numbers of the pages that hold `range`.
fn pages(range: &Range<u64>) -> Range<u64> {
    range.start / PAGE..range.end.div_ceil(PAGE)
}

/// A guest quantity as an index. On x86-64, `usize` holds every one.
fn index(value: u64) -> usize {
    usize::try_from(value).unwrap_or_default()
}

impl Contents {
    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The memory that the pages take, in bytes.
    pub fn taken(&self) -> u64 {
        self.frames.len() as u64 * PAGE
    }

    /// Copies from `offset` on, as much as there is and `into` takes.
    pub fn read(&self, memory: &AddressSpace, into: &mut GuestSlices<'_>, offset: u64) -> usize {
        let left = self.size.saturating_sub(offset).min(into.len() as u64);
        let end = offset + left;
        let last = end.div_ceil(PAGE);
        let mut at = offset;
        let mut done = 0;
        while at < end {
            let first = at / PAGE;
            let here = self.frames.range(first..last).zip(first..);
            let frames: Vec<_> = here
                .map_while(|((&page, &frame), wanted)| (page == wanted).then_some(frame))
                .collect();
            let is_hole = frames.is_empty();
            let next = if is_hole {
                let mut after = self.frames.range(first..last);
                after.next().map_or(last, |(&page, _)| page)
            } else {
                first + frames.len() as u64
            };
            let stop = (next * PAGE).min(end);
            let length = index(stop - at);
            done += if is_hole {
                host_io::zero(into, length)
            } else {
                let mut pages = memory.file_slices(frames);
                pages.skip(index(at % PAGE));
                host_io::copy(&mut pages, into, length)
            };
            at = stop;
        }
        done
    }

    /// Copies `from` to `offset` and after, to pages that [`Self::provide`] has made sure of.
    pub fn write(
        &mut self,
        memory: &AddressSpace,
        from: &mut GuestSlices<'_>,
        offset: u64,
    ) -> usize {
        let last = pages(&(offset..offset + from.len() as u64));
        let frames = self.frames.range(last).map(|(_, frame)| *frame);
        let mut into = memory.file_slices(frames);
        into.skip(index(offset % PAGE));
        let length = from.len();
        let done = host_io::copy(from, &mut into, length);
        self.size = self.size.max(offset + done as u64);
        done
    }

    /// Gives memory to the holes in `range`, as far as `budget` and the guest have it, and returns
    /// the end of what has memory now.
    ///
    /// # Errors
    /// `ENOSPC` if the first page can get none.
    pub fn provide(
        &mut self,
        memory: &mut AddressSpace,
        budget: &mut Budget,
        range: Range<u64>,
    ) -> Result<u64, Errno> {
        let wanted = pages(&range);
        let affordable = budget.left() / PAGE;
        let mut holes = Vec::new();
        let mut end = range.end;
        let mut page = wanted.start;
        while page < wanted.end {
            if !self.frames.contains_key(&page) {
                if holes.len() as u64 == affordable {
                    end = page * PAGE;
                    break;
                }
                holes.push(page);
            }
            page += 1;
        }
        let length = holes.len() as u64 * PAGE;
        let frames = memory.take_file_frames(length).ok_or(Errno::ENOSPC)?;
        if end <= range.start {
            return Err(Errno::ENOSPC);
        }
        budget.take(length)?;
        self.frames.extend(holes.into_iter().zip(frames));
        Ok(end)
    }

    /// Gives memory to all of `range`, or to nothing.
    ///
    /// # Errors
    /// `ENOSPC` if `budget` or the guest has too little memory.
    pub fn provide_all(
        &mut self,
        memory: &mut AddressSpace,
        budget: &mut Budget,
        range: Range<u64>,
    ) -> Result<(), Errno> {
        if range.is_empty() {
            return Ok(());
        }
        let wanted = pages(&range);
        let there = self.frames.range(wanted.clone()).count() as u64;
        if (wanted.end - wanted.start - there).saturating_mul(PAGE) > budget.left() {
            return Err(Errno::ENOSPC);
        }
        self.provide(memory, budget, range).map(drop)
    }

    /// Sets the size. What is cut off is zero if the file grows again, and memory past the end is
    /// given back unless the file grows.
    ///
    /// # Errors
    /// The host can't make the memory zero.
    pub fn resize(
        &mut self,
        memory: &mut AddressSpace,
        budget: &mut Budget,
        size: u64,
    ) -> Result<(), Errno> {
        let before = std::mem::replace(&mut self.size, size);
        if size > before {
            return Ok(());
        }
        self.punch(memory, budget, size..LARGEST)
    }

    /// Makes `range` zero, and gives back the pages that lie wholly inside.
    ///
    /// # Errors
    /// The host can't make the memory zero.
    pub fn punch(
        &mut self,
        memory: &mut AddressSpace,
        budget: &mut Budget,
        range: Range<u64>,
    ) -> Result<(), Errno> {
        let whole = range.start.div_ceil(PAGE)..range.end / PAGE;
        for edge in [range.start / PAGE, range.end / PAGE] {
            if whole.contains(&edge) {
                continue;
            }
            let page = edge * PAGE..(edge + 1).saturating_mul(PAGE);
            let part = range.start.max(page.start)..range.end.min(page.end);
            if let (Some(frame), false) = (self.frames.get(&edge), part.is_empty()) {
                let mut slices = memory.file_slices([*frame]);
                slices.skip(index(part.start - page.start));
                host_io::zero(&mut slices, index(part.end - part.start));
            }
        }
        if whole.is_empty() {
            return Ok(());
        }
        let mut after = self.frames.split_off(&whole.start);
        let mut kept = after.split_off(&whole.end);
        self.frames.append(&mut kept);
        budget.give_back(after.len() as u64 * PAGE);
        let freed = memory.give_back_file_frames(after.into_values());
        freed.map_err(|error| host_errno(&error))
    }

    /// The frames of the pages from `offset` on, for `length` bytes. No hole is among them after
    /// [`Self::provide_all`].
    pub fn frames(&self, range: Range<u64>) -> Vec<u64> {
        let frames = self.frames.range(pages(&range));
        frames.map(|(_, frame)| *frame).collect()
    }
}

fn host_errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
