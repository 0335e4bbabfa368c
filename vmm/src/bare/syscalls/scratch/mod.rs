//! The files that the program makes itself: all of `/tmp` and `/dev/shm`, and files without a name.
//!
//! They are what tmpfs is on Linux. Their contents lie in guest memory ([`contents`]), up to half
//! of it, and so end with the guest. `--file` may have put files into `/tmp` as well: those belong
//! to the read-only tree below, and show through.
//!
//! Nothing is made before the program makes its first file.

mod budget;
mod contents;
mod inode;
mod names;

use std::collections::BTreeMap;

use nix::errno::Errno;

use super::place::InodeId;
use super::tree::NodeId;
use crate::bare::address_space::AddressSpace;
use crate::memory::PAGE;
use budget::{Budget, OF_AN_INODE};

pub(super) use contents::{Contents, LARGEST};
pub(super) use inode::{Inode, Kind, Moment, Times};
pub(super) use names::{Name, Replacing};

/// The permissions of the directories at the top: everybody may make files there, and remove his
/// own.
const TOP_MODE: u32 = 0o1777;

/// All scratch files.
#[derive(Debug)]
pub(super) struct Scratch {
    inodes: BTreeMap<InodeId, Inode>,
    next: u64,
    budget: Budget,
    /// The directories at the top, each with the directory of the tree in whose place it is.
    tops: Vec<(NodeId, InodeId)>,
    /// The inodes without a name. They stay as long as they are open.
    nameless: Vec<InodeId>,
    /// The permissions that new files don't get (umask(2)).
    pub mask: u32,
}

impl Scratch {
    /// Scratch files in place of these directories of the tree, in a guest of `memory` bytes.
    pub fn new(directories: impl IntoIterator<Item = NodeId>, memory: u64) -> Self {
        let mut scratch = Self {
            inodes: BTreeMap::new(),
            next: 0,
            budget: Budget::new((memory / 2) & !(PAGE - 1)),
            tops: Vec::new(),
            nameless: Vec::new(),
            mask: 0o22,
        };
        for below in directories {
            let top = Inode {
                links: 1,
                ..Inode::new(Kind::Directory(inode::Directory::default()), TOP_MODE)
            };
            let id = scratch.insert(top);
            scratch.tops.push((below, id));
        }
        scratch
    }

    /// Whether there is more than the empty directories at the top.
    pub fn has_files(&self) -> bool {
        self.inodes.len() > self.tops.len()
    }

    /// The directory at the top that is in place of `node`.
    pub fn in_place_of(&self, node: NodeId) -> Option<InodeId> {
        let mut tops = self.tops.iter();
        tops.find(|(below, _)| *below == node).map(|(_, id)| *id)
    }

    /// The directory of the tree in whose place `inode` is, if it is a directory at the top.
    pub fn below(&self, inode: InodeId) -> Option<NodeId> {
        let mut tops = self.tops.iter();
        tops.find(|(_, top)| *top == inode).map(|(below, _)| *below)
    }

    /// An inode.
    ///
    /// # Errors
    /// `ENOENT` if it is gone.
    pub fn inode(&self, id: InodeId) -> Result<&Inode, Errno> {
        self.inodes.get(&id).ok_or(Errno::ENOENT)
    }

    /// The same, to change it.
    ///
    /// # Errors
    /// `ENOENT` if it is gone.
    pub fn inode_mut(&mut self, id: InodeId) -> Result<&mut Inode, Errno> {
        self.inodes.get_mut(&id).ok_or(Errno::ENOENT)
    }

    /// The contents of a regular file.
    ///
    /// # Errors
    /// `EISDIR` for a directory, and `EINVAL` for a link.
    pub fn contents(&self, id: InodeId) -> Result<&Contents, Errno> {
        match &self.inode(id)?.kind {
            Kind::File(contents) => Ok(contents),
            Kind::Directory(_) => Err(Errno::EISDIR),
            Kind::Link(_) => Err(Errno::EINVAL),
        }
    }

    /// The same with the budget, to change the contents. The file counts as modified now.
    ///
    /// # Errors
    /// `EISDIR` for a directory, and `EINVAL` for a link.
    pub fn change(&mut self, id: InodeId) -> Result<(&mut Contents, &mut Budget), Errno> {
        self.inode_mut(id)?.touch();
        self.contents_mut(id)
    }

    /// The same to give memory to the contents, which the program doesn't see as a change.
    ///
    /// # Errors
    /// `EISDIR` for a directory, and `EINVAL` for a link.
    pub fn contents_mut(&mut self, id: InodeId) -> Result<(&mut Contents, &mut Budget), Errno> {
        let inode = self.inodes.get_mut(&id).ok_or(Errno::ENOENT)?;
        match &mut inode.kind {
            Kind::File(contents) => Ok((contents, &mut self.budget)),
            Kind::Directory(_) => Err(Errno::EISDIR),
            Kind::Link(_) => Err(Errno::EINVAL),
        }
    }

    /// Makes a regular file without a name (`O_TMPFILE`, `memfd_create`).
    ///
    /// # Errors
    /// `ENOSPC`.
    pub fn make_nameless(&mut self, mode: u32) -> Result<InodeId, Errno> {
        self.budget.take(OF_AN_INODE)?;
        let id = self.insert(Inode::new(Kind::File(Contents::default()), mode));
        self.nameless.push(id);
        Ok(id)
    }

    /// Whether an inode without a name is there.
    pub fn has_nameless(&self) -> bool {
        !self.nameless.is_empty()
    }

    /// Removes the inodes without a name that nobody uses any more, and frees their memory.
    pub fn sweep(&mut self, memory: &mut AddressSpace, is_used: impl Fn(InodeId) -> bool) {
        let (kept, unused) = std::mem::take(&mut self.nameless)
            .into_iter()
            .partition(|&id| is_used(id));
        self.nameless = kept;
        let unused: Vec<_> = unused;
        for id in unused {
            if let Some(Kind::File(mut contents)) = self.inodes.remove(&id).map(|inode| inode.kind)
            {
                // A frame that the host can't make fresh is lost, and no other harm is done.
                let _ = contents.resize(memory, &mut self.budget, 0);
            }
            self.budget.give_back(OF_AN_INODE);
        }
    }

    fn insert(&mut self, inode: Inode) -> InodeId {
        let id = InodeId(self.next);
        self.next += 1;
        self.inodes.insert(id, inode);
        id
    }
}
