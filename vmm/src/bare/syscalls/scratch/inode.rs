//! What a file, directory or link of the scratch files is, apart from its names.

use std::collections::BTreeMap;

use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};

use super::contents::Contents;
use crate::bare::syscalls::place::InodeId;

/// A moment, in seconds and nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) struct Moment {
    pub seconds: i64,
    pub nanoseconds: i64,
}

impl Moment {
    /// The time now.
    pub fn now() -> Self {
        clock_gettime(ClockId::CLOCK_REALTIME).map_or(Self::default(), |now| Self {
            seconds: now.tv_sec(),
            nanoseconds: now.tv_nsec(),
        })
    }
}

/// The times of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Times {
    pub accessed: Moment,
    pub modified: Moment,
    pub changed: Moment,
}

impl Times {
    /// Every time is `moment`.
    pub const fn all(moment: Moment) -> Self {
        Self {
            accessed: moment,
            modified: moment,
            changed: moment,
        }
    }
}

/// A file, directory or link.
#[derive(Debug)]
pub(in super::super) struct Inode {
    pub kind: Kind,
    /// The permission bits.
    pub mode: u32,
    /// The user and the group.
    pub owner: (u32, u32),
    /// The number of names.
    pub links: u32,
    pub times: Times,
}

/// What an inode is.
#[derive(Debug)]
pub(in super::super) enum Kind {
    File(Contents),
    Directory(Directory),
    /// A symbolic link, with its text.
    Link(Vec<u8>),
}

/// An entry of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Entry {
    pub inode: InodeId,
    /// The entry's place in a listing, which no other entry of the directory ever had.
    pub number: u64,
}

/// A directory.
#[derive(Debug, Default)]
pub(in super::super) struct Directory {
    /// The directory above. The directories at the top have none here.
    pub parent: Option<InodeId>,
    pub entries: BTreeMap<Vec<u8>, Entry>,
    next_number: u64,
}

impl Directory {
    pub fn below(parent: InodeId) -> Self {
        Self {
            parent: Some(parent),
            ..Self::default()
        }
    }

    /// Gives `name`, which nothing has, to `inode`.
    pub fn insert(&mut self, name: &[u8], inode: InodeId) {
        let number = self.next_number;
        self.next_number += 1;
        self.entries.insert(name.to_vec(), Entry { inode, number });
    }
}

impl Inode {
    /// A new inode without a name.
    pub fn new(kind: Kind, mode: u32) -> Self {
        Self {
            kind,
            mode,
            owner: (0, 0),
            links: 0,
            times: Times::all(Moment::now()),
        }
    }

    /// The directory that the inode is.
    pub fn directory(&self) -> Result<&Directory, Errno> {
        match &self.kind {
            Kind::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// The same, to change the directory.
    pub fn directory_mut(&mut self) -> Result<&mut Directory, Errno> {
        match &mut self.kind {
            Kind::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    pub fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory(_))
    }

    /// Notes that the contents have changed now.
    pub fn touch(&mut self) {
        self.times.modified = Moment::now();
        self.times.changed = self.times.modified;
    }
}
