//! What a mapping is asked to be, and why a mapping may be refused: the terms of mmap(2).

use std::fs::File;
use std::io;

/// What a program may do with its pages (mmap(2) `prot`). On x86-64 a page that may be written or
/// run may also be read.
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
    pub const NONE: Self = Self::from_low_bits(0);
    /// `PROT_READ`.
    pub const READ: Self = Self::from_low_bits(1);
    /// `PROT_READ | PROT_WRITE`.
    pub const READ_WRITE: Self = Self::from_low_bits(3);
    /// `PROT_READ | PROT_EXEC`.
    pub const READ_EXECUTE: Self = Self::from_low_bits(5);
    /// `PROT_READ | PROT_WRITE | PROT_EXEC`.
    pub(super) const ALL: Self = Self::from_low_bits(7);

    /// From the bits of mmap(2). The result is `None` if a bit is unknown there.
    pub const fn from_bits(bits: u64) -> Option<Self> {
        if bits & !7 != 0 {
            return None;
        }
        Some(Self::from_low_bits(bits))
    }

    /// The bits of mmap(2).
    pub(super) const fn bits(self) -> u64 {
        self.read as u64 | (self.write as u64) << 1 | (self.execute as u64) << 2
    }

    const fn from_low_bits(bits: u64) -> Self {
        Self {
            read: bits & 1 != 0,
            write: bits & 2 != 0,
            execute: bits & 4 != 0,
        }
    }

    /// Whether the program may do nothing at all with a page.
    pub(super) const fn is_none(self) -> bool {
        !(self.read || self.write || self.execute)
    }
}

/// Where a mapping goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// At `hint` if there is room, or at any other place with room. A hint of 0 means no wish.
    Anywhere {
        /// The address that the program would like.
        hint: u64,
    },
    /// As [`Self::Anywhere`], but below 2 GiB (`MAP_32BIT`).
    Below2GiB {
        /// The address that the program would like.
        hint: u64,
    },
    /// Exactly here, in place of what is mapped here (`MAP_FIXED`).
    Fixed(u64),
    /// Exactly here, or not at all (`MAP_FIXED_NOREPLACE`).
    FixedNoReplace(u64),
}

/// Whether a mapping may move to grow (mremap(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// The mapping grows in its place or not at all.
    InPlace,
    /// The mapping moves if its place is too small (`MREMAP_MAYMOVE`).
    MayMove,
}

/// What a new mapping holds.
#[derive(Debug, Clone, Copy)]
pub enum Backing<'a> {
    /// Zeros.
    Anonymous,
    /// Zeros, of which the program may map more than it could ever use (`MAP_NORESERVE`).
    Unreserved,
    /// The pages of a host file, copy-on-write. A page past the file's end reads as zeros (on Linux
    /// the access would raise `SIGBUS`).
    File {
        /// The file.
        file: &'a File,
        /// The offset in the file at which the mapping starts, in whole pages.
        offset: u64,
    },
    /// A copy of these bytes, with zeros after them.
    Bytes(&'a [u8]),
}

/// A mapping could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The range is not in whole pages, empty, or not in the user's half.
    #[error("the range is empty, unaligned, or outside the program's address space")]
    BadRange,
    /// `FixedNoReplace` met a mapping.
    #[error("something is mapped there already")]
    Exists,
    /// Address space, the number of areas or, for a file's pages, guest memory is used up; or the
    /// mapping is larger than [`super::MOST_RESERVED`].
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
    /// The errno that Linux gives for this error.
    pub fn errno(&self) -> i32 {
        match self {
            Self::BadRange => libc::EINVAL,
            Self::Exists => libc::EEXIST,
            Self::NoMemory | Self::NotMapped => libc::ENOMEM,
            Self::Host(error) => error.raw_os_error().unwrap_or(libc::ENOMEM),
        }
    }
}
