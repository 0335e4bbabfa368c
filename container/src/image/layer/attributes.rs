//! The owner, permissions, time and extended attributes of what is unpacked.
//!
//! Extended attributes in `user.` are kept, except for overlayfs's own, with which one layer could
//! reach into another. Other extended attributes are left out. A file's capabilities would have no
//! effect in a container, whose programs gain no privileges, and would be dangerous on the host.
//! Access control lists hold ids that are not shifted.

use std::ffi::OsStr;
use std::fs::File;

use nix::fcntl::AtFlags;
use nix::sys::stat::{FchmodatFlags, Mode, UtimensatFlags, fchmod, fchmodat, futimens, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown, fchownat};

use super::extended::{self, Attribute};
use super::tree::Directory;
use crate::image::archive::members::Member;
use crate::isolation::id_map::{IdMap, OVERFLOW};

/// What attributes are not as a member says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Differences {
    /// How many extended attributes are left out.
    pub attributes_left_out: u64,
    /// 1 if the owner is another one, because no container has the ids.
    pub owners_changed: u64,
}

/// The attributes of one file or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// The owner's ids on the host; `None` for an ordinary user, to whom everything belongs.
    owner: Option<(Uid, Gid)>,
    mode: Mode,
    mtime: TimeSpec,
    extended: Vec<Attribute>,
}

impl Attributes {
    /// The attributes of `member`, and what of them is not as the member says.
    pub fn of(member: &Member, ids: IdMap) -> (Self, Differences) {
        let (kept, left_out): (Vec<_>, Vec<_>) = member
            .attributes
            .iter()
            .cloned()
            .partition(|(name, _)| is_kept(name));
        let (owner, is_changed) = owner(ids, member.uid, member.gid);
        let attributes = Self {
            owner,
            mode: Mode::from_bits_truncate(member.mode & 0o7777),
            mtime: TimeSpec::new(member.mtime.0, member.mtime.1.into()),
            extended: kept,
        };
        let differences = Differences {
            attributes_left_out: left_out.len() as u64,
            owners_changed: is_changed.into(),
        };
        (attributes, differences)
    }

    /// The attributes that a directory of a layer has.
    pub fn of_directory(directory: &Directory) -> nix::Result<Self> {
        let stat = directory.stat(OsStr::new("."))?;
        let extended = extended::read_all(directory.descriptor(), is_kept)?;
        Ok(Self {
            owner: Some((Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid))),
            mode: Mode::from_bits_truncate(stat.st_mode & 0o7777),
            mtime: TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec),
            extended,
        })
    }

    /// The attributes of a directory of which no layer says anything.
    pub fn plain_directory(ids: IdMap) -> Self {
        Self::plain(ids, 0o755)
    }

    /// The attributes of a file of which no layer says anything.
    pub fn plain_file(ids: IdMap) -> Self {
        Self::plain(ids, 0o644)
    }

    fn plain(ids: IdMap, mode: u32) -> Self {
        let root = |(uid, gid)| (Uid::from_raw(uid), Gid::from_raw(gid));
        Self {
            owner: ids.changes_user().then(|| root(ids.root())),
            mode: Mode::from_bits_truncate(mode),
            mtime: TimeSpec::new(0, 0),
            extended: Vec::new(),
        }
    }

    /// Gives the attributes to an open file or directory. The owner comes first, because a change
    /// of owner clears bits of the mode.
    pub fn give_to(&self, file: &File) -> nix::Result<()> {
        if let Some((uid, gid)) = self.owner {
            fchown(file, Some(uid), Some(gid))?;
        }
        self.set_extended(file)?;
        fchmod(file, self.mode)?;
        futimens(file, &self.mtime, &self.mtime)
    }

    /// Gives the extended attributes to an open file or directory, and returns the others.
    pub fn give_extended_to(mut self, file: &File) -> nix::Result<Self> {
        self.set_extended(file)?;
        self.extended = Vec::new();
        Ok(self)
    }

    fn set_extended(&self, file: &File) -> nix::Result<()> {
        for (name, value) in &self.extended {
            extended::write(file, name, value)?;
        }
        Ok(())
    }

    /// Gives the owner and the time to a symbolic link, which cannot be opened. A symbolic link has
    /// no mode, and cannot have extended attributes in `user.`.
    pub fn give_to_link(&self, directory: &Directory, name: &OsStr) -> nix::Result<()> {
        let directory = directory.descriptor();
        if let Some((uid, gid)) = self.owner {
            let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
            fchownat(directory, name, Some(uid), Some(gid), flags)?;
        }
        let flags = UtimensatFlags::NoFollowSymlink;
        utimensat(directory, name, &self.mtime, &self.mtime, flags)
    }

    /// Gives the owner, the mode and the time to a named pipe, which nobody wants to open. A named
    /// pipe cannot have extended attributes in `user.`.
    pub fn give_to_fifo(&self, directory: &Directory, name: &OsStr) -> nix::Result<()> {
        self.give_to_link(directory, name)?;
        // The pipe was made a moment ago in a directory of this process's own: it is no link.
        let flags = FchmodatFlags::FollowSymlink;
        fchmodat(directory.descriptor(), name, self.mode, flags)
    }
}

/// The owner on the host, and whether it is another one because no container has the ids.
fn owner(ids: IdMap, uid: u64, gid: u64) -> (Option<(Uid, Gid)>, bool) {
    if !ids.changes_user() {
        return (None, false);
    }
    let overflow = u64::from(OVERFLOW);
    let host = |id: u64| ids.on_host(id).or_else(|| ids.on_host(overflow));
    let owner = host(uid).zip(host(gid));
    let owner = owner.map(|(uid, gid)| (Uid::from_raw(uid), Gid::from_raw(gid)));
    let is_changed = ids.on_host(uid).is_none() || ids.on_host(gid).is_none();
    (owner, is_changed)
}

/// Whether the extended attribute `name` is kept.
fn is_kept(name: &[u8]) -> bool {
    name.starts_with(b"user.") && !name.starts_with(b"user.overlay.") && !name.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_user_attributes_are_kept() {
        for (name, kept) in [
            ("user.mime", true),
            ("user.overlay.opaque", false),
            ("user.overlay.redirect", false),
            ("trusted.overlay.opaque", false),
            ("security.capability", false),
            ("system.posix_acl_access", false),
            ("user.a\0", false),
        ] {
            assert_eq!(is_kept(name.as_bytes()), kept, "{name}");
        }
    }

    #[test]
    fn owners_are_shifted_or_the_overflow_id() {
        let shifted = |uid, gid| Some((Uid::from_raw(uid), Gid::from_raw(gid)));
        for (ids, expected) in [
            ((0, 65_535), (shifted(100_000, 165_535), false)),
            ((0, 65_536), (shifted(100_000, 165_534), true)),
            ((u64::MAX, 0), (shifted(165_534, 100_000), true)),
        ] {
            assert_eq!(owner(IdMap::Range, ids.0, ids.1), expected, "{ids:?}");
        }
        let own = IdMap::Own { uid: 7, gid: 8 };
        assert_eq!(owner(own, 1_000_000, 0), (None, false));
    }
}
