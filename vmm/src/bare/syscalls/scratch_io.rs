//! What the calls do with the contents of scratch files: opening, moving data, sizes, mapping.

use std::ops::Range;

use nix::errno::Errno;
use nix::libc::{self, c_int};

use super::descriptors::{Object, OnExec, OpenFile};
use super::guest::{self, Buffer};
use super::place::{InodeId, Place};
use super::scratch::{Kind, LARGEST};
use super::{CallResult, Personality};
use crate::bare::address_space::{Access, AddressSpace, Backing, Placement, Protection};
use crate::memory::PAGE;

/// The flags of `memfd_create` that have an effect here or need none (`linux/memfd.h`). A file
/// can't be sealed, nor lie in huge pages.
const MEMORY_FILE_FLAGS: u32 = libc::MFD_CLOEXEC | libc::MFD_NOEXEC_SEAL | libc::MFD_EXEC;

/// The most bytes of the name of a file without a path (`MFD_NAME_MAX_LEN`).
const MEMORY_FILE_NAME: usize = 249;

impl Personality {
    /// Sets the permissions that new files don't get, and returns those before.
    pub(super) fn set_creation_mask(&mut self, mask: u32) -> u64 {
        let before = std::mem::replace(&mut self.scratch.mask, mask & 0o777);
        u64::from(before)
    }

    /// The object of an open file for a scratch file, if these flags suit it.
    pub(super) fn openable_scratch(
        &mut self,
        memory: &mut AddressSpace,
        inode: InodeId,
        flags: c_int,
    ) -> Result<Object, Errno> {
        let place = Place::Scratch(inode);
        let only_names = flags & libc::O_PATH != 0;
        let writes = flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_TRUNC != 0;
        match &self.scratch.inode(inode)?.kind {
            Kind::Directory(_) if writes || flags & libc::O_CREAT != 0 => Err(Errno::EISDIR),
            Kind::Directory(_) => Ok(Object::Directory(place)),
            _ if flags & libc::O_DIRECTORY != 0 => Err(Errno::ENOTDIR),
            Kind::Link(_) if only_names => Ok(Object::Link(place)),
            Kind::Link(_) => Err(Errno::ELOOP),
            Kind::File(_) if flags & libc::O_DIRECT != 0 => Err(Errno::EINVAL),
            Kind::File(_) => {
                if flags & libc::O_TRUNC != 0 {
                    self.resize(memory, inode, 0)?;
                }
                Ok(Object::Scratch(inode))
            }
        }
    }

    /// Makes a file without a name in a directory's file system (`O_TMPFILE`).
    pub(super) fn make_nameless(&mut self, directory: Place, mode: u32) -> Result<Place, Errno> {
        match directory {
            _ if !self.is_directory(directory) => Err(Errno::ENOTDIR),
            Place::Scratch(_) => {
                let mode = mode & 0o7777 & !self.scratch.mask;
                self.scratch.make_nameless(mode).map(Place::Scratch)
            }
            Place::Tree(_) | Place::Descriptor(_) => Err(Errno::EROFS),
        }
    }

    /// Serves `memfd_create`.
    pub(super) fn make_memory_file(
        &mut self,
        memory: &AddressSpace,
        name: u64,
        flags: u32,
    ) -> CallResult {
        if flags & !MEMORY_FILE_FLAGS != 0 {
            return Err(Errno::EINVAL.into());
        }
        match guest::read_path(memory, name) {
            Ok(name) if name.len() <= MEMORY_FILE_NAME => {}
            Ok(_) | Err(Errno::ENAMETOOLONG) => return Err(Errno::EINVAL.into()),
            Err(errno) => return Err(errno.into()),
        }
        let inode = self.scratch.make_nameless(0o777)?;
        let file = OpenFile {
            object: Object::Scratch(inode),
            place: Some(Place::Scratch(inode)),
            offset: 0,
            flags: libc::O_RDWR | super::files::LARGE_FILE,
        };
        let on_exec = OnExec::from_bit(flags.cast_signed(), libc::MFD_CLOEXEC.cast_signed());
        Ok(self.descriptors.insert(file, on_exec)?)
    }

    /// Frees the files that have no name and that nobody has open any more.
    pub(super) fn sweep(&mut self, memory: &mut AddressSpace) {
        if !self.scratch.has_nameless() {
            return;
        }
        let here = self.working_directory;
        let descriptors = &self.descriptors;
        self.scratch.sweep(memory, |inode| {
            let place = Place::Scratch(inode);
            place == here || descriptors.files().any(|file| file.place == Some(place))
        });
    }

    pub(super) fn read_scratch(
        &self,
        memory: &AddressSpace,
        inode: InodeId,
        buffers: &[Buffer],
        offset: u64,
    ) -> Result<usize, Errno> {
        let contents = self.scratch.contents(inode)?;
        let left = contents.size().saturating_sub(offset);
        if left == 0 {
            return Ok(0);
        }
        let mut into = guest::slices(memory, buffers, Access::Write, left)?;
        Ok(contents.read(memory, &mut into, offset))
    }

    /// Writes `buffers` to a file, at the position `at`, at the open file's own, or at the end if
    /// the file is open for appending.
    pub(super) fn write_scratch(
        &mut self,
        memory: &mut AddressSpace,
        descriptor: u64,
        inode: InodeId,
        buffers: &[Buffer],
        at: Option<u64>,
    ) -> CallResult {
        let file = self.descriptors.get(descriptor)?;
        let offset = if file.flags & libc::O_APPEND == 0 {
            at.unwrap_or(file.offset)
        } else {
            self.scratch.contents(inode)?.size()
        };
        if guest::total(buffers) == 0 {
            return Ok(0);
        }
        let room = LARGEST.saturating_sub(offset);
        if room == 0 {
            return Err(Errno::EFBIG.into());
        }
        let wanted = guest::slices(memory, buffers, Access::Read, room)?.len() as u64;
        let (contents, budget) = self.scratch.change(inode)?;
        let end = contents.provide(memory, budget, offset..offset + wanted)?;
        let mut from = guest::slices(memory, buffers, Access::Read, end - offset)?;
        let count = contents.write(memory, &mut from, offset) as u64;
        if at.is_none() {
            self.descriptors.get_mut(descriptor)?.offset = offset + count;
        }
        Ok(count)
    }

    pub(super) fn resize(
        &mut self,
        memory: &mut AddressSpace,
        inode: InodeId,
        size: u64,
    ) -> Result<(), Errno> {
        if size > LARGEST {
            return Err(Errno::EFBIG);
        }
        let (contents, budget) = self.scratch.change(inode)?;
        contents.resize(memory, budget, size)
    }

    /// Serves `fallocate` with this mode.
    pub(super) fn allocate_in(
        &mut self,
        memory: &mut AddressSpace,
        inode: InodeId,
        mode: c_int,
        range: Range<u64>,
    ) -> Result<(), Errno> {
        const PUNCH: c_int = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        if range.end > LARGEST {
            return Err(Errno::EFBIG);
        }
        let (contents, budget) = self.scratch.change(inode)?;
        match mode {
            PUNCH => contents.punch(memory, budget, range),
            libc::FALLOC_FL_KEEP_SIZE => contents.provide_all(memory, budget, range),
            0 => {
                let end = range.end;
                contents.provide_all(memory, budget, range)?;
                if end > contents.size() {
                    contents.resize(memory, budget, end)?;
                }
                Ok(())
            }
            _ => Err(Errno::EOPNOTSUPP),
        }
    }

    /// Maps a file from `offset` on, so that all mappings show each other's writes.
    pub(super) fn map_scratch_shared(
        &mut self,
        memory: &mut AddressSpace,
        inode: InodeId,
        mapping: &Mapping,
    ) -> CallResult {
        let (contents, budget) = self.scratch.contents_mut(inode)?;
        // Pages past the file's end are the mapping's own.
        let end = mapping.end().min(contents.size());
        let range = mapping.offset..end.max(mapping.offset);
        contents.provide_all(memory, budget, range.clone())?;
        let frames = contents.frames(range);
        let &Mapping {
            place,
            length,
            protection,
            ..
        } = mapping;
        Ok(memory.map_shared(place, length, protection, &frames)?)
    }

    /// Maps a copy of a file from `offset` on, as it is now.
    pub(super) fn map_scratch_copy(
        &self,
        memory: &mut AddressSpace,
        inode: InodeId,
        mapping: &Mapping,
    ) -> CallResult {
        let contents = self.scratch.contents(inode)?;
        let read_write = Protection::READ_WRITE;
        let start = memory.map(
            mapping.place,
            mapping.length,
            read_write,
            Backing::Anonymous,
        )?;
        let end = mapping.end().min(contents.size());
        let left = end.saturating_sub(mapping.offset);
        let buffers = [(start, left)];
        if left > 0 {
            let mut into = guest::slices(memory, &buffers, Access::Write, left)?;
            contents.read(memory, &mut into, mapping.offset);
        }
        memory.protect(start, mapping.length, mapping.protection)?;
        Ok(start)
    }
}

/// A mapping of a file that a program asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mapping {
    pub place: Placement,
    /// The length in bytes.
    pub length: u64,
    pub protection: Protection,
    /// The offset in the file, in whole pages.
    pub offset: u64,
}

impl Mapping {
    /// The offset one past the last page.
    fn end(&self) -> u64 {
        let length = self.length.checked_next_multiple_of(PAGE);
        self.offset.saturating_add(length.unwrap_or(u64::MAX))
    }
}
