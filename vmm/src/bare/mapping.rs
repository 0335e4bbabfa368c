//! What a mapping is asked to be, and why it may not be: the terms of mmap(2).

use std::fs::File;
use std::io;

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
    pub(super) const fn access(self) -> Option<(bool, bool)> {
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
