//! The names of scratch files: making, linking, removing and renaming them, with the errors of
//! Linux (`fs/namei.c`).

use nix::errno::Errno;
use nix::libc;

use super::Scratch;
use super::budget::OF_AN_INODE;
use super::inode::{Directory, Inode, Kind};
use crate::bare::syscalls::place::InodeId;

/// What a renaming does with what has the new name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Replacing {
    /// It is removed.
    Yes,
    /// The renaming fails (`RENAME_NOREPLACE`).
    No,
    /// It gets the old name (`RENAME_EXCHANGE`).
    Exchange,
}

/// A name in a directory, as a path gives it.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Name<'a> {
    pub directory: InodeId,
    pub bytes: &'a [u8],
    /// Whether the path goes on with slashes, which it may for a directory alone.
    pub ends_in_slash: bool,
}

impl Scratch {
    /// The inode that has the name `name` in `directory`.
    ///
    /// # Errors
    /// `ENOENT`, or `ENOTDIR` if `directory` is none.
    pub fn child(&self, directory: InodeId, name: &[u8]) -> Result<InodeId, Errno> {
        let entries = &self.inode(directory)?.directory()?.entries;
        entries
            .get(name)
            .map(|entry| entry.inode)
            .ok_or(Errno::ENOENT)
    }

    /// The directory above `directory`, if it isn't at the top.
    pub fn parent(&self, directory: InodeId) -> Option<InodeId> {
        self.inode(directory).ok()?.directory().ok()?.parent
    }

    /// Makes an inode in `directory`, where nothing has the name `name`.
    ///
    /// # Errors
    /// `ENOENT` if the directory was removed, `ENOSPC`.
    pub fn make(
        &mut self,
        directory: InodeId,
        name: &[u8],
        kind: Kind,
        mode: u32,
    ) -> Result<InodeId, Errno> {
        self.check_lives(directory)?;
        self.budget.take(OF_AN_INODE)?;
        let mut inode = Inode::new(kind, mode);
        // Linux: `inode_init_owner` in `fs/inode.c`.
        let above = self.inode(directory)?;
        if above.mode & libc::S_ISGID != 0 {
            inode.owner.1 = above.owner.1;
            if inode.is_directory() {
                inode.mode |= libc::S_ISGID;
            }
        }
        let id = self.insert(inode);
        self.enter(directory, name, id)?;
        Ok(id)
    }

    /// Makes a directory in `directory`, where nothing has the name `name`.
    ///
    /// # Errors
    /// As for [`Self::make`].
    pub fn make_directory(
        &mut self,
        directory: InodeId,
        name: &[u8],
        mode: u32,
    ) -> Result<(), Errno> {
        let kind = Kind::Directory(Directory::below(directory));
        self.make(directory, name, kind, mode).map(drop)
    }

    /// Gives `inode`, which has a name and is no directory, one more.
    ///
    /// # Errors
    /// `EPERM` for a directory, `ENOENT` if the inode or the directory was removed.
    pub fn link(&mut self, directory: InodeId, name: &[u8], inode: InodeId) -> Result<(), Errno> {
        if self.inode(inode)?.is_directory() {
            return Err(Errno::EPERM);
        }
        self.check_lives(directory)?;
        self.check_lives(inode)?;
        self.enter(directory, name, inode)
    }

    /// Removes the name of a file or link (unlink(2)).
    ///
    /// # Errors
    /// `ENOENT`, or `EISDIR` for a directory.
    pub fn unlink(&mut self, directory: InodeId, name: &[u8]) -> Result<(), Errno> {
        let inode = self.child(directory, name)?;
        if self.inode(inode)?.is_directory() {
            return Err(Errno::EISDIR);
        }
        self.leave(directory, name)
    }

    /// Removes an empty directory (rmdir(2)).
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, or `ENOTEMPTY`.
    pub fn remove_directory(&mut self, directory: InodeId, name: &[u8]) -> Result<(), Errno> {
        let inode = self.child(directory, name)?;
        if !self.inode(inode)?.directory()?.entries.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        self.leave(directory, name)
    }

    /// Renames what has the name `from` (renameat2(2)).
    ///
    /// # Errors
    /// `ENOENT`; `EEXIST`, `EISDIR`, `ENOTDIR` or `ENOTEMPTY` for what has the new name already;
    /// `EINVAL` if a directory would come to lie below itself.
    pub fn rename(
        &mut self,
        from: Name<'_>,
        to: Name<'_>,
        replacing: Replacing,
    ) -> Result<(), Errno> {
        let moved = self.child(from.directory, from.bytes)?;
        let there = match self.child(to.directory, to.bytes) {
            Err(Errno::ENOENT) => None,
            found => Some(found?),
        };
        match (there, replacing) {
            (None, Replacing::Exchange) => return Err(Errno::ENOENT),
            (Some(_), Replacing::No) => return Err(Errno::EEXIST),
            (Some(there), Replacing::Exchange) => self.check_slash(to, there)?,
            _ => self.check_slash(to, moved)?,
        }
        self.check_slash(from, moved)?;
        self.check_lives(to.directory)?;
        self.check_move(moved, to.directory)?;
        match (there, replacing) {
            (Some(there), Replacing::Exchange) => {
                self.check_move(there, from.directory)?;
                self.point(from, there)?;
                return self.point(to, moved);
            }
            (Some(there), _) if there == moved => return Ok(()),
            (Some(there), _) => {
                self.check_replace(moved, there, from.directory)?;
                self.leave(to.directory, to.bytes)?;
            }
            (None, _) => {}
        }
        self.enter(to.directory, to.bytes, moved)?;
        self.leave(from.directory, from.bytes)?;
        self.set_parent(moved, to.directory)
    }

    /// The number of links that an inode shows: its names and, for a directory, `.` and the `..` of
    /// each directory in it.
    pub fn links_of(&self, inode: &Inode) -> u32 {
        let Ok(directory) = inode.directory() else {
            return inode.links;
        };
        let entries = directory.entries.values();
        let below = entries.filter(|entry| self.inode(entry.inode).is_ok_and(Inode::is_directory));
        let below = u32::try_from(below.count()).unwrap_or(u32::MAX);
        inode.links.saturating_mul(2).saturating_add(below)
    }

    /// The names from a directory at the top to `inode`, and that directory. The result is `None`
    /// if the inode has no name.
    pub fn path_of(&self, inode: InodeId) -> Option<(InodeId, Vec<&[u8]>)> {
        let mut names = Vec::new();
        let mut at = inode;
        while self.below(at).is_none() {
            let (directory, name) = self.inodes.iter().find_map(|(id, above)| {
                let entries = &above.directory().ok()?.entries;
                let (name, _) = entries.iter().find(|(_, entry)| entry.inode == at)?;
                Some((*id, name.as_slice()))
            })?;
            names.push(name);
            at = directory;
        }
        names.reverse();
        Some((at, names))
    }

    /// Checks that a name which ends in a slash is one of a directory.
    fn check_slash(&self, name: Name<'_>, inode: InodeId) -> Result<(), Errno> {
        if name.ends_in_slash && !self.inode(inode)?.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        Ok(())
    }

    /// Checks that `inode`, which lies in `directory`, may replace `there`.
    fn check_replace(
        &self,
        inode: InodeId,
        there: InodeId,
        directory: InodeId,
    ) -> Result<(), Errno> {
        // What lies above the inode is no empty directory.
        if self.check_move(there, directory).is_err() {
            return Err(Errno::ENOTEMPTY);
        }
        let (new, old) = (self.inode(inode)?, self.inode(there)?);
        match (new.is_directory(), old.directory()) {
            (true, Err(_)) => Err(Errno::ENOTDIR),
            (false, Ok(_)) => Err(Errno::EISDIR),
            (true, Ok(directory)) if !directory.entries.is_empty() => Err(Errno::ENOTEMPTY),
            _ => Ok(()),
        }
    }

    /// Checks that `inode` would not come to lie below itself in `directory`.
    fn check_move(&self, inode: InodeId, directory: InodeId) -> Result<(), Errno> {
        let mut above = Some(directory);
        while let Some(at) = above {
            if at == inode {
                return Err(Errno::EINVAL);
            }
            above = self.parent(at);
        }
        Ok(())
    }

    /// Checks that an inode has a name.
    fn check_lives(&self, inode: InodeId) -> Result<(), Errno> {
        match self.inode(inode)?.links {
            0 => Err(Errno::ENOENT),
            _ => Ok(()),
        }
    }

    fn enter(&mut self, directory: InodeId, name: &[u8], inode: InodeId) -> Result<(), Errno> {
        let above = self.inode_mut(directory)?;
        above.directory_mut()?.insert(name, inode);
        above.touch();
        self.inode_mut(inode)?.links += 1;
        Ok(())
    }

    /// Takes a name away. An inode without a name is removed once nobody has it open.
    fn leave(&mut self, directory: InodeId, name: &[u8]) -> Result<(), Errno> {
        let above = self.inode_mut(directory)?;
        let removed = above.directory_mut()?.entries.remove(name);
        above.touch();
        let id = removed.ok_or(Errno::ENOENT)?.inode;
        let inode = self.inode_mut(id)?;
        inode.links -= 1;
        if inode.links == 0 {
            self.nameless.push(id);
        }
        Ok(())
    }

    /// Makes the entry with this name, which is there, one of `inode`.
    fn point(&mut self, name: Name<'_>, inode: InodeId) -> Result<(), Errno> {
        let above = self.inode_mut(name.directory)?;
        above.directory_mut()?.insert(name.bytes, inode);
        above.touch();
        self.set_parent(inode, name.directory)
    }

    /// Notes that `inode` lies in `directory`, if it is a directory.
    fn set_parent(&mut self, inode: InodeId, directory: InodeId) -> Result<(), Errno> {
        if let Kind::Directory(moved) = &mut self.inode_mut(inode)?.kind {
            moved.parent = Some(directory);
        }
        Ok(())
    }
}
