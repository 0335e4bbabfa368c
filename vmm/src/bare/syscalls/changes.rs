//! The calls that make, link, remove and rename files. Only scratch files can be changed: the tree
//! gives the errors that Linux gives on a read-only file system.

use nix::errno::Errno;
use nix::libc::{self, c_int};

use super::place::{InodeId, Place};
use super::scratch::{Contents, Kind, Name, Replacing};
use super::{CallResult, Personality, SystemCall, guest};
use crate::bare::address_space::AddressSpace;

/// A path as a call passes it: the descriptor of the directory from which it starts, and its
/// address.
type PathArgument = (c_int, u64);

/// How the path of something new may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// In a name.
    Name,
    /// In a name or, since it is to be a directory, in slashes.
    SlashToo,
}

/// Whether a name is that of the directory itself or of the one above.
fn is_special(name: &[u8]) -> bool {
    matches!(name, b"" | b"." | b"..")
}

pub(super) fn serve(
    state: &mut Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<CallResult> {
    let [first, second, third, fourth, ..] = call.arguments;
    let here = |path| (libc::AT_FDCWD, path);
    let at = |directory, path| (call.int(directory), path);
    let result = match call.linux_number() {
        libc::SYS_mkdir => state.make_directory(memory, here(first), call.unsigned(1)),
        libc::SYS_mkdirat => state.make_directory(memory, at(0, second), call.unsigned(2)),
        libc::SYS_mknod => state.make_node(memory, here(first), call.unsigned(1)),
        libc::SYS_mknodat => state.make_node(memory, at(0, second), call.unsigned(2)),
        libc::SYS_symlink => state.make_link(memory, first, here(second)),
        libc::SYS_symlinkat => state.make_link(memory, first, at(1, third)),
        libc::SYS_link => state.add_name(memory, here(first), here(second), 0),
        libc::SYS_linkat => state.add_name(memory, at(0, second), at(2, fourth), call.int(4)),
        libc::SYS_unlink => state.remove(memory, here(first), 0),
        libc::SYS_rmdir => state.remove(memory, here(first), libc::AT_REMOVEDIR),
        libc::SYS_unlinkat => state.remove(memory, at(0, second), call.int(2)),
        libc::SYS_rename => state.rename(memory, here(first), here(second), 0),
        libc::SYS_renameat => state.rename(memory, at(0, second), at(2, fourth), 0),
        libc::SYS_renameat2 => state.rename(memory, at(0, second), at(2, fourth), call.unsigned(4)),
        _ => return None,
    };
    state.sweep(memory);
    Some(result.map(|()| 0).map_err(Into::into))
}

impl Personality {
    /// The directory in which the call may make what `path` names, and the name there.
    fn place_for_new(
        &self,
        memory: &AddressSpace,
        (directory, path): PathArgument,
        ending: Ending,
    ) -> Result<(InodeId, Vec<u8>), Errno> {
        let path = guest::read_path(memory, path)?;
        let start = self.start(directory, &path)?;
        let (above, name) = self.resolve_parent(start, &path)?;
        if is_special(name) {
            return Err(Errno::EEXIST);
        }
        match (self.child(above, name), above) {
            (Ok(_), _) => Err(Errno::EEXIST),
            (Err(Errno::ENOENT), _) if path.ends_with(b"/") && ending == Ending::Name => {
                Err(Errno::ENOENT)
            }
            (Err(Errno::ENOENT), Place::Scratch(directory)) => Ok((directory, name.to_vec())),
            (Err(Errno::ENOENT), _) => Err(Errno::EROFS),
            (Err(errno), _) => Err(errno),
        }
    }

    fn make_directory(
        &mut self,
        memory: &AddressSpace,
        path: PathArgument,
        mode: u32,
    ) -> Result<(), Errno> {
        let (directory, name) = self.place_for_new(memory, path, Ending::SlashToo)?;
        let mode = mode & 0o1777 & !self.scratch.mask;
        self.scratch.make_directory(directory, &name, mode)
    }

    /// Makes a regular file. Pipes, sockets and devices have no place in the guest's file systems.
    fn make_node(
        &mut self,
        memory: &AddressSpace,
        path: PathArgument,
        mode: u32,
    ) -> Result<(), Errno> {
        let (directory, name) = self.place_for_new(memory, path, Ending::Name)?;
        match mode & libc::S_IFMT {
            0 | libc::S_IFREG => self.make_file(directory, &name, mode).map(drop),
            libc::S_IFDIR | libc::S_IFCHR | libc::S_IFBLK | libc::S_IFIFO | libc::S_IFSOCK => {
                Err(Errno::EPERM)
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// Makes an empty file where nothing has its name.
    pub(super) fn make_file(
        &mut self,
        directory: InodeId,
        name: &[u8],
        mode: u32,
    ) -> Result<InodeId, Errno> {
        let kind = Kind::File(Contents::default());
        let mode = mode & 0o7777 & !self.scratch.mask;
        self.scratch.make(directory, name, kind, mode)
    }

    fn make_link(
        &mut self,
        memory: &AddressSpace,
        target: u64,
        path: PathArgument,
    ) -> Result<(), Errno> {
        let target = guest::read_path(memory, target)?;
        if target.is_empty() {
            return Err(Errno::ENOENT);
        }
        let (directory, name) = self.place_for_new(memory, path, Ending::Name)?;
        let made = self
            .scratch
            .make(directory, &name, Kind::Link(target), 0o777);
        made.map(drop)
    }

    fn add_name(
        &mut self,
        memory: &AddressSpace,
        (directory, old): PathArgument,
        new: PathArgument,
        flags: c_int,
    ) -> Result<(), Errno> {
        if flags & !(libc::AT_SYMLINK_FOLLOW | libc::AT_EMPTY_PATH) != 0 {
            return Err(Errno::EINVAL);
        }
        let follows = flags & libc::AT_SYMLINK_FOLLOW != 0;
        let keeps = if follows {
            0
        } else {
            libc::AT_SYMLINK_NOFOLLOW
        };
        let old = guest::read_path(memory, old)?;
        let old = self.lookup(directory, &old, keeps | flags & libc::AT_EMPTY_PATH)?;
        let (directory, name) = self.place_for_new(memory, new, Ending::Name)?;
        match old {
            Place::Scratch(inode) => self.scratch.link(directory, &name, inode),
            Place::Tree(_) | Place::Descriptor(_) => Err(Errno::EXDEV),
        }
    }

    fn remove(
        &mut self,
        memory: &AddressSpace,
        (directory, path): PathArgument,
        flags: c_int,
    ) -> Result<(), Errno> {
        if flags & !libc::AT_REMOVEDIR != 0 {
            return Err(Errno::EINVAL);
        }
        let of_directory = flags & libc::AT_REMOVEDIR != 0;
        let path = guest::read_path(memory, path)?;
        let start = self.start(directory, &path)?;
        let (above, name) = self.resolve_parent(start, &path)?;
        match (name, of_directory) {
            (b"" | b"." | b"..", false) => return Err(Errno::EISDIR),
            (b"", true) => return Err(Errno::EBUSY),
            (b".", true) => return Err(Errno::EINVAL),
            (b"..", true) => return Err(Errno::ENOTEMPTY),
            _ => {}
        }
        let directory = self.changeable(above, name)?;
        if of_directory {
            return self.scratch.remove_directory(directory, name);
        }
        if path.ends_with(b"/") {
            let there = self.scratch.child(directory, name)?;
            let is_directory = self.scratch.inode(there)?.is_directory();
            return Err(if is_directory {
                Errno::EISDIR
            } else {
                Errno::ENOTDIR
            });
        }
        self.scratch.unlink(directory, name)
    }

    /// The scratch directory at `place`, if what has the name `name` there may be removed. Linux
    /// refuses on a read-only file system before it looks whether the name is there.
    fn changeable(&self, place: Place, name: &[u8]) -> Result<InodeId, Errno> {
        let Place::Scratch(directory) = place else {
            return Err(Errno::EROFS);
        };
        match self.child(place, name) {
            Ok(Place::Tree(_)) => Err(Errno::EROFS),
            Err(Errno::ENAMETOOLONG) => Err(Errno::ENAMETOOLONG),
            _ => Ok(directory),
        }
    }

    fn rename(
        &mut self,
        memory: &AddressSpace,
        old: PathArgument,
        new: PathArgument,
        flags: u32,
    ) -> Result<(), Errno> {
        let replacing = match flags {
            0 => Replacing::Yes,
            libc::RENAME_NOREPLACE => Replacing::No,
            libc::RENAME_EXCHANGE => Replacing::Exchange,
            _ => return Err(Errno::EINVAL),
        };
        let paths = [old, new].map(|(directory, path)| {
            let path = guest::read_path(memory, path)?;
            Ok::<_, Errno>((self.start(directory, &path)?, path))
        });
        let [(old_start, old), (new_start, new)] = match paths {
            [Ok(old), Ok(new)] => [old, new],
            [Err(errno), _] | [_, Err(errno)] => return Err(errno),
        };
        let (from, old_name) = self.resolve_parent(old_start, &old)?;
        let (to, new_name) = self.resolve_parent(new_start, &new)?;
        match (from, to) {
            (Place::Scratch(_), Place::Scratch(_)) => {}
            (Place::Scratch(_), _) | (_, Place::Scratch(_)) => return Err(Errno::EXDEV),
            _ if is_special(old_name) || is_special(new_name) => return Err(Errno::EBUSY),
            _ => return Err(Errno::EROFS),
        }
        if is_special(old_name) {
            return Err(Errno::EBUSY);
        }
        if is_special(new_name) {
            return Err(match replacing {
                Replacing::No => Errno::EEXIST,
                Replacing::Yes | Replacing::Exchange => Errno::EBUSY,
            });
        }
        let from = Name {
            directory: self.changeable(from, old_name)?,
            bytes: old_name,
            ends_in_slash: old.ends_with(b"/"),
        };
        self.scratch.child(from.directory, from.bytes)?;
        if replacing == Replacing::No && self.child(to, new_name).is_ok() {
            return Err(Errno::EEXIST);
        }
        let to = Name {
            directory: self.changeable(to, new_name)?,
            bytes: new_name,
            ends_in_slash: new.ends_with(b"/"),
        };
        self.scratch.rename(from, to, replacing)
    }
}
