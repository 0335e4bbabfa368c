//! The guest program's address space: what is mapped where, with which permission.
//!
//! It is three things kept in step: the *areas* (what Linux calls VMAs), the page tables in guest RAM, and the
//! allocator of guest frames. Mapping gives every accessible page its frame at once, in few contiguous runs, so
//! the guest never faults into the VMM for memory and one `preadv` covers a large buffer; the *host* gives memory
//! behind a frame only when it is touched. Pages without any permission get no frame until they gain one, so a
//! reservation (`PROT_NONE`) costs nothing.
//!
//! Nothing here needs KVM: tests build an [`AddressSpace`] over a plain [`GuestRam`].
//!
//! Addresses and lengths come from a hostile program. Every one is checked here; nothing panics on them.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::ops::Range;

use super::frames::{Frames, Run};
use super::page_tables::{Entry, PageTables};
use crate::layout;
use crate::memory::{GuestRam, PAGE};

/// Most areas a program may have (Linux `vm.max_map_count`).
const MOST_AREAS: usize = 65_530;

/// What a program may do with its pages (mmap(2) `prot`). On x86-64 what may be written or run may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Protection {
    /// `PROT_READ`.
    pub read: bool,
    /// `PROT_WRITE`.
    pub write: bool,
    /// `PROT_EXEC`.
    pub execute: bool,
}

impl Protection {
    /// `PROT_NONE`.
    pub const NONE: Self = Self::new(false, false, false);
    /// `PROT_READ`.
    pub const READ: Self = Self::new(true, false, false);
    /// `PROT_READ | PROT_WRITE`.
    pub const READ_WRITE: Self = Self::new(true, true, false);
    /// `PROT_READ | PROT_EXEC`.
    pub const READ_EXECUTE: Self = Self::new(true, false, true);

    const fn new(read: bool, write: bool, execute: bool) -> Self {
        Self {
            read,
            write,
            execute,
        }
    }

    /// From the bits of mmap(2); `None` for bits unknown there.
    pub const fn from_bits(bits: u64) -> Option<Self> {
        if bits & !7 != 0 {
            return None;
        }
        Some(Self::new(bits & 1 != 0, bits & 2 != 0, bits & 4 != 0))
    }

    /// Write and execute permission of a page, or `None` for a page without any.
    const fn access(self) -> Option<(bool, bool)> {
        if self.read || self.write || self.execute {
            Some((self.write, self.execute))
        } else {
            None
        }
    }
}

/// Where a mapping goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// At `hint` if that is free (0: no wish), else wherever there is room.
    Anywhere {
        /// The address wished for.
        hint: u64,
    },
    /// Exactly here, in place of what is there (`MAP_FIXED`).
    Fixed(u64),
    /// Exactly here, or not at all (`MAP_FIXED_NOREPLACE`).
    FixedNoReplace(u64),
}

/// What a new mapping holds.
#[derive(Debug, Clone, Copy)]
pub enum Backing<'a> {
    /// Zeros.
    Anonymous,
    /// The pages of a host file, copy-on-write. What lies past its end reads as zeros (Linux: `SIGBUS`).
    File {
        /// The file.
        file: &'a File,
        /// Where in it the mapping starts, whole pages.
        offset: u64,
    },
    /// A copy of these bytes, zeros after them.
    Bytes(&'a [u8]),
}

/// A mapping could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// Not whole pages, empty, or not in the user's half.
    #[error("the range is empty, unaligned, or outside the program's address space")]
    BadRange,
    /// `FixedNoReplace` met a mapping.
    #[error("something is mapped there already")]
    Exists,
    /// Guest memory, address space or the number of areas is used up.
    #[error("the guest is out of memory or address space")]
    NoMemory,
    /// Part of the range is not mapped.
    #[error("part of the range is not mapped")]
    NotMapped,
    /// The host refused to change its mapping of guest RAM.
    #[error("changing the host's mapping of guest memory")]
    Host(#[source] io::Error),
}

impl MapError {
    /// The errno that Linux gives for it.
    pub fn errno(&self) -> i32 {
        match self {
            Self::BadRange => libc::EINVAL,
            Self::Exists => libc::EEXIST,
            Self::NoMemory | Self::NotMapped => libc::ENOMEM,
            Self::Host(error) => error.raw_os_error().unwrap_or(libc::ENOMEM),
        }
    }
}

/// The VMM does to guest memory what the program might not: Linux gives `EFAULT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the program may not {access} address {address:#x}")]
pub struct Fault {
    /// The first address that failed.
    pub address: u64,
    /// What was tried.
    pub access: Access,
}

/// What a system call does to a buffer of the program's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The program's memory is read.
    Read,
    /// The program's memory is written.
    Write,
}

impl std::fmt::Display for Access {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

/// One area: a range of pages with the same permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Area {
    end: u64,
    protection: Protection,
}

/// The address space.
#[derive(Debug)]
pub struct AddressSpace {
    ram: GuestRam,
    frames: Frames,
    tables: PageTables,
    areas: BTreeMap<u64, Area>,
    heap: Range<u64>,
    stale: bool,
}

impl AddressSpace {
    /// An empty address space over `ram`, whose frames from [`layout::FIRST_FREE_FRAME`] on are zero.
    ///
    /// # Panics
    /// Never: [`GuestRam::MIN`] holds a root.
    pub fn new(ram: GuestRam) -> Self {
        let mut frames = Frames::new(layout::FIRST_FREE_FRAME, ram.size());
        let tables = PageTables::new(&mut frames).expect("the least RAM holds a page table");
        Self {
            ram,
            frames,
            tables,
            areas: BTreeMap::new(),
            heap: 0..0,
            stale: false,
        }
    }

    /// Guest RAM.
    pub fn ram(&self) -> &GuestRam {
        &self.ram
    }

    /// Guest physical address of the root page table.
    pub(crate) fn root(&self) -> u64 {
        self.tables.root()
    }

    /// Bytes of guest RAM that no mapping has taken.
    pub fn free_bytes(&self) -> u64 {
        self.frames.left()
    }

    /// What is mapped, lowest first (`/proc/self/maps`).
    pub fn areas(&self) -> impl Iterator<Item = (Range<u64>, Protection)> + '_ {
        self.areas
            .iter()
            .map(|(&start, area)| (start..area.end, area.protection))
    }

    /// Whether the processor may still hold translations that were taken away; resets it.
    ///
    /// The run loop flushes them before it enters the guest again.
    pub(crate) fn take_stale(&mut self) -> bool {
        std::mem::take(&mut self.stale)
    }

    /// Maps a page that no program may change: ring 0's, or the system-call stub.
    pub(crate) fn map_trampoline(&mut self, address: u64, frame: u64, user: bool, write: bool) {
        let made = self
            .tables
            .make(&self.ram, &mut self.frames, address, address + PAGE);
        debug_assert!(made.is_some(), "the trampoline is mapped first");
        self.tables
            .update(&self.ram, address, address + PAGE, |_, _| {
                Entry::fixed(frame, user, write, !write)
            });
    }

    /// Maps `length` bytes (rounded up to whole pages) and says where.
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
        let start = self.place(place, length)?;
        self.fill(start, length, protection, backing)?;
        self.insert(start, start + length, protection);
        Ok(start)
    }

    /// Unmaps the pages of `start..start + length`, mapped or not.
    ///
    /// # Errors
    /// [`MapError::BadRange`], [`MapError::NoMemory`] (too many areas), [`MapError::Host`].
    pub fn unmap(&mut self, start: u64, length: u64) -> Result<(), MapError> {
        let range = user_range(start, length)?;
        self.cut(&range)?;
        let mut freed = Runs::default();
        self.tables
            .update(&self.ram, range.start, range.end, |_, entry| {
                freed.push(entry);
                Entry::EMPTY
            });
        self.stale |= !freed.0.is_empty();
        for (run, is_file) in freed.0 {
            self.ram
                .discard(run.start, run.length, is_file)
                .map_err(MapError::Host)?;
            self.frames.give_back(run);
        }
        Ok(())
    }

    /// Has the host put memory of the guest's own behind the pages of `range`, before the program touches them.
    pub(crate) fn warm(&self, range: Range<u64>) {
        let mut runs = Runs::default();
        self.tables
            .update(&self.ram, range.start, range.end, |_, entry| {
                runs.push(entry);
                entry
            });
        for (run, _) in runs.0 {
            self.ram.populate(run.start, run.length);
        }
    }

    /// Changes the permission of `start..start + length`, all of which must be mapped.
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
        if !self.is_covered(&range) {
            return Err(MapError::NotMapped);
        }
        if protection.access().is_some() {
            self.give_frames(&range)?;
        }
        self.cut(&range)?;
        self.insert(range.start, range.end, protection);
        self.permit(&range, protection)
    }

    /// Makes anonymous pages zero and file pages the file's again (`MADV_DONTNEED`).
    ///
    /// # Errors
    /// See [`MapError`].
    pub fn discard(&mut self, start: u64, length: u64) -> Result<(), MapError> {
        let range = user_range(start, length)?;
        if !self.is_covered(&range) {
            return Err(MapError::NotMapped);
        }
        let mut runs = Runs::default();
        self.tables
            .update(&self.ram, range.start, range.end, |_, entry| {
                runs.push(entry);
                entry
            });
        for (run, _) in runs.0 {
            // MADV_DONTNEED of a private file mapping shows the file again, which is what Linux does.
            self.ram
                .discard(run.start, run.length, false)
                .map_err(MapError::Host)?;
        }
        Ok(())
    }

    /// Grows, shrinks or moves a mapping (mremap(2) without `MREMAP_FIXED`) and says where it is now.
    ///
    /// # Errors
    /// See [`MapError`].
    pub fn remap(
        &mut self,
        old: u64,
        old_length: u64,
        new_length: u64,
        may_move: bool,
    ) -> Result<u64, MapError> {
        let range = user_range(old, old_length)?;
        let new_length = whole_pages(new_length)?;
        let protection = self.protection_of(&range).ok_or(MapError::NotMapped)?;
        let old_length = range.end - range.start;
        if new_length <= old_length {
            if new_length < old_length {
                self.unmap(old + new_length, old_length - new_length)?;
            }
            return Ok(old);
        }
        let more = new_length - old_length;
        let place = Placement::FixedNoReplace(range.end);
        match self.map(place, more, protection, Backing::Anonymous) {
            Ok(_) => return Ok(old),
            Err(MapError::Exists | MapError::BadRange) if may_move => {}
            Err(MapError::Exists | MapError::BadRange) => return Err(MapError::NoMemory),
            Err(error) => return Err(error),
        }
        let start = self.place(Placement::Anywhere { hint: 0 }, new_length)?;
        self.fill(start + old_length, more, protection, Backing::Anonymous)?;
        self.move_pages(&range, start)?;
        self.cut(&range)?;
        self.insert(start, start + new_length, protection);
        Ok(start)
    }

    /// Says where the heap starts; it is empty.
    pub(crate) fn start_heap(&mut self, start: u64) {
        self.heap = start..start;
    }

    /// Moves the end of the heap to `wanted` if that can be, and says where it is (brk(2)).
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

/// Reading and writing the program's memory.
impl AddressSpace {
    /// Copies from the program's memory.
    ///
    /// # Errors
    /// The program may not read all of it.
    pub fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Fault> {
        let mut done = 0;
        for run in self.runs(address, into.len() as u64, Access::Read)? {
            let length = usize::try_from(run.length).expect("shorter than `into`");
            self.ram.read(run.start, &mut into[done..done + length]);
            done += length;
        }
        Ok(())
    }

    /// Copies to the program's memory.
    ///
    /// # Errors
    /// The program may not write all of it; nothing is written then.
    pub fn write(&mut self, address: u64, from: &[u8]) -> Result<(), Fault> {
        let mut done = 0;
        for run in self.runs(address, from.len() as u64, Access::Write)? {
            let length = usize::try_from(run.length).expect("shorter than `from`");
            self.ram.write(run.start, &from[done..done + length]);
            done += length;
        }
        Ok(())
    }

    /// Reads a string up to its zero byte, which must be within `most` bytes.
    ///
    /// # Errors
    /// The program may not read it, or it is longer; [`Fault::address`] tells (`address + most` for the latter).
    pub fn read_c_string(&self, address: u64, most: usize) -> Result<CString, Fault> {
        let mut bytes = Vec::new();
        while bytes.len() < most {
            let at = address.wrapping_add(bytes.len() as u64);
            let page_left = usize::try_from(PAGE - at % PAGE).expect("at most a page");
            let mut chunk = vec![0; page_left.min(most - bytes.len())];
            self.read(at, &mut chunk)?;
            if let Some(end) = chunk.iter().position(|&byte| byte == 0) {
                bytes.extend_from_slice(&chunk[..end]);
                return Ok(CString::new(bytes).expect("cut at the first zero"));
            }
            bytes.extend_from_slice(&chunk);
        }
        Err(Fault {
            address: address.wrapping_add(most as u64),
            access: Access::Read,
        })
    }

    /// The program's buffer as host memory, for the host's own scatter-gather calls: nothing is copied.
    ///
    /// # Errors
    /// The program may not access all of it.
    pub fn slices(
        &self,
        address: u64,
        length: u64,
        access: Access,
    ) -> Result<HostSlices<'_>, Fault> {
        let runs = self.runs(address, length, access)?;
        let host = self.ram.host_base();
        let vectors = runs
            .into_iter()
            .map(|run| libc::iovec {
                iov_base: host.wrapping_add(to_usize(run.start)).cast(),
                iov_len: to_usize(run.length),
            })
            .collect();
        Ok(HostSlices {
            vectors,
            ram: PhantomData,
        })
    }

    /// The runs of guest RAM behind `address..address + length`.
    fn runs(&self, address: u64, length: u64, access: Access) -> Result<Vec<Run>, Fault> {
        let fault = |address| Fault { address, access };
        let end = address.checked_add(length).ok_or(fault(address))?;
        if end > layout::USER_END {
            return Err(fault(address.max(layout::USER_END)));
        }
        let mut runs: Vec<Run> = Vec::new();
        let mut at = address;
        while at < end {
            let entry = self.tables.entry(&self.ram, at);
            if !entry.lets_user(access == Access::Write) {
                return Err(fault(at));
            }
            let start = entry.frame() + at % PAGE;
            let length = (PAGE - at % PAGE).min(end - at);
            match runs.last_mut() {
                Some(last) if last.end() == start => last.length += length,
                _ => runs.push(Run { start, length }),
            }
            at += length;
        }
        Ok(runs)
    }
}

/// The steps of the changes above.
impl AddressSpace {
    /// Chooses the start of a mapping of `length` bytes, and clears the place if it is to be replaced.
    fn place(&mut self, place: Placement, length: u64) -> Result<u64, MapError> {
        match place {
            Placement::Anywhere { hint } => {
                let wish = user_range(hint & !(PAGE - 1), length).ok();
                match wish.filter(|range| self.is_free(range)) {
                    Some(range) => Ok(range.start),
                    None => self.find_gap(length).ok_or(MapError::NoMemory),
                }
            }
            Placement::Fixed(start) => {
                user_range(start, length)?;
                self.unmap(start, length)?;
                Ok(start)
            }
            Placement::FixedNoReplace(start) => {
                let range = user_range(start, length)?;
                self.is_free(&range)
                    .then_some(start)
                    .ok_or(MapError::Exists)
            }
        }
    }

    /// The highest gap of `length` bytes below the stack.
    fn find_gap(&self, length: u64) -> Option<u64> {
        let mut top = layout::MAPPINGS_END;
        for (&start, area) in self.areas.range(..layout::MAPPINGS_END).rev() {
            if area.end <= top && top - area.end >= length {
                break;
            }
            top = top.min(start);
        }
        top.checked_sub(length)
            .filter(|&start| start >= layout::USER_START)
    }

    /// Gives the pages of a new mapping their frames, tables and contents.
    fn fill(
        &mut self,
        start: u64,
        length: u64,
        protection: Protection,
        backing: Backing<'_>,
    ) -> Result<(), MapError> {
        if self.areas.len() >= MOST_AREAS {
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
                self.return_frames(&runs, is_file);
                return Err(MapError::Host(error));
            }
            done += run.length;
        }
        self.enter(start, &runs, is_file, access);
        Ok(())
    }

    /// Puts what belongs `done` bytes into a mapping into `run`.
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
            return Err(MapError::NoMemory);
        }
        let runs = self.frames.take(length).ok_or(MapError::NoMemory)?;
        self.tables
            .make(&self.ram, &mut self.frames, start, start + length)
            .ok_or(MapError::NoMemory)?;
        Ok(runs)
    }

    fn return_frames(&mut self, runs: &[Run], is_file: bool) {
        for &run in runs {
            // A frame that cannot be made zero again is lost to the guest, not handed out with old contents.
            if self.ram.discard(run.start, run.length, is_file).is_ok() {
                self.frames.give_back(run);
            }
        }
    }

    /// Enters `runs`, in order, into the page tables from `start` on.
    fn enter(&mut self, start: u64, runs: &[Run], is_file: bool, access: Option<(bool, bool)>) {
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
    fn give_frames(&mut self, range: &Range<u64>) -> Result<(), MapError> {
        for gap in self.frameless(range) {
            let runs = self.take_frames(gap.start, gap.end - gap.start)?;
            self.enter(gap.start, &runs, false, None);
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

    /// Sets the permission of the pages of `range` that have frames.
    fn permit(&mut self, range: &Range<u64>, protection: Protection) -> Result<(), MapError> {
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

    /// Moves the pages of `range` to `to`, whose pages are free.
    fn move_pages(&mut self, range: &Range<u64>, to: u64) -> Result<(), MapError> {
        let length = range.end - range.start;
        if PageTables::most_for(length) > self.frames.left() {
            return Err(MapError::NoMemory);
        }
        self.tables
            .make(&self.ram, &mut self.frames, to, to + length)
            .ok_or(MapError::NoMemory)?;
        let mut moved = Vec::new();
        let mut lost = Runs::default();
        self.tables
            .update(&self.ram, range.start, range.end, |_, entry| {
                moved.push(entry);
                lost.push(entry);
                Entry::EMPTY
            });
        // A leaf table may be missing under a reservation: then there was nothing to move there.
        let mut entries = moved.into_iter();
        self.tables.update(&self.ram, to, to + length, |_, _| {
            entries.next().unwrap_or(Entry::EMPTY)
        });
        self.stale = true;
        self.drop_translations(&lost)
    }

    fn drop_translations(&self, lost: &Runs) -> Result<(), MapError> {
        lost.0.iter().try_for_each(|&(run, _)| {
            self.ram
                .drop_translations(run.start, run.length)
                .map_err(MapError::Host)
        })
    }

    /// Whether nothing is mapped in `range`.
    fn is_free(&self, range: &Range<u64>) -> bool {
        self.areas
            .range(..range.end)
            .next_back()
            .is_none_or(|(_, area)| area.end <= range.start)
    }

    /// Whether all of `range` is mapped.
    fn is_covered(&self, range: &Range<u64>) -> bool {
        let mut end = range.end;
        for (&start, area) in self.areas.range(..range.end).rev() {
            if area.end < end {
                return false;
            }
            end = start;
            if end <= range.start {
                return true;
            }
        }
        false
    }

    /// The permission of `range`, if all of it is one area's.
    fn protection_of(&self, range: &Range<u64>) -> Option<Protection> {
        let (_, area) = self.areas.range(..=range.start).next_back()?;
        (area.end >= range.end).then_some(area.protection)
    }

    /// Takes `range` out of the areas, cutting those that reach over its ends.
    fn cut(&mut self, range: &Range<u64>) -> Result<(), MapError> {
        if self.areas.len() + 2 > MOST_AREAS {
            return Err(MapError::NoMemory);
        }
        let touched: Vec<(u64, Area)> = self
            .areas
            .range(..range.end)
            .rev()
            .take_while(|(_, area)| area.end > range.start)
            .map(|(&start, &area)| (start, area))
            .collect();
        for (start, area) in touched {
            self.areas.remove(&start);
            let protection = area.protection;
            if start < range.start {
                let end = range.start;
                self.areas.insert(start, Area { end, protection });
            }
            if area.end > range.end {
                self.areas.insert(range.end, area);
            }
        }
        Ok(())
    }

    /// Adds an area, joining it to neighbours of the same permission.
    fn insert(&mut self, mut start: u64, mut end: u64, protection: Protection) {
        if let Some((&before, area)) = self.areas.range(..start).next_back()
            && area.end == start
            && area.protection == protection
        {
            start = before;
        }
        if let Some(after) = self
            .areas
            .get(&end)
            .filter(|area| area.protection == protection)
        {
            let joined = after.end;
            self.areas.remove(&end);
            end = joined;
        }
        self.areas.insert(start, Area { end, protection });
    }
}

/// Runs of frames that entries own, adjacent ones joined.
#[derive(Debug, Default)]
struct Runs(Vec<(Run, bool)>);

impl Runs {
    fn push(&mut self, entry: Entry) {
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

/// A buffer of the program's as host memory.
#[derive(Debug)]
pub struct HostSlices<'a> {
    vectors: Vec<libc::iovec>,
    ram: PhantomData<&'a GuestRam>,
}

impl HostSlices<'_> {
    /// The pieces, in order, for readv(2) and its kin. They lie in guest RAM, which is not Rust's memory: only the
    /// kernel and volatile accesses touch it.
    pub fn as_iovecs(&self) -> &[libc::iovec] {
        &self.vectors
    }
}

/// `length` rounded up to whole pages, not empty.
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

/// x86-64: `usize` holds every guest quantity.
fn to_usize(value: u64) -> usize {
    usize::try_from(value).expect("a 64-bit host")
}
