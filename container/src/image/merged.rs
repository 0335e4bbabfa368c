//! An image's root as one tree: what overlayfs shows of its layers, listed without mounting anything.
//!
//! A guest kernel has no part in the host's overlayfs, so its files are gathered here: whiteouts and opaque directories
//! applied by the same [`View`] that programs are looked up in, owners shifted back to what the image says (ADR 4).

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::SFlag;

use super::path::SafePath;
use super::tree::errno;
use super::view::{Found, Parts, View};
use crate::isolation::id_map::IdMap;

/// An image's layers can't be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path:?} in the image's layers")]
pub struct MergedError {
    path: PathBuf,
    source: Errno,
}

/// Something in an image's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its absolute path inside.
    pub path: PathBuf,
    /// What it is.
    pub kind: EntryKind,
    /// Permissions, with set-uid and the like.
    pub mode: u32,
    /// The owner, as the image has it.
    pub uid: u32,
    /// The group, as the image has it.
    pub gid: u32,
}

/// What an [`Entry`] is. Devices are never imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Where its content is on the host.
        host: PathBuf,
        /// Its length.
        size: u64,
        /// Device and inode on the host: the same for all names of one file.
        identity: (u64, u64),
    },
    /// A symbolic link: what it says.
    SymbolicLink(OsString),
    /// A named pipe.
    Fifo,
}

/// All that is in the root of an image with these layers, the lowest first, whose owners were made for `ids`. A directory
/// comes before what is in it; the root itself is not among them.
///
/// # Errors
/// A layer can't be read.
pub fn merged(layers: &[PathBuf], ids: IdMap) -> Result<Vec<Entry>, MergedError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| MergedError { path, source }
    };
    let root = Path::new("/");
    let view = View::open(layers.iter().map(PathBuf::as_path)).map_err(failed(root))?;
    let tree = Merged { layers, ids, view };
    let mut entries = Vec::new();
    let mut left = vec![(root.to_owned(), tree.view.root())];
    while let Some((directory, parts)) = left.pop() {
        for name in tree.names(&parts).map_err(failed(&directory))? {
            let path = directory.join(&name);
            let step = tree.view.step(&parts, &name, |_| false);
            let (Some(found), below) = step.map_err(failed(&path))? else {
                continue;
            };
            let is_directory = found.is_directory();
            let entry = tree.entry(&path, &found).map_err(failed(&path))?;
            entries.extend(entry);
            if is_directory {
                left.push((path, below));
            }
        }
    }
    Ok(entries)
}

struct Merged<'l> {
    layers: &'l [PathBuf],
    ids: IdMap,
    view: View,
}

impl Merged<'_> {
    /// Where a thing of the view is on the host. Nobody else can change the store, so the path leads there and nowhere else.
    fn host_path(&self, layer: usize, path: &SafePath) -> PathBuf {
        self.layers[self.layers.len() - 1 - layer].join(path.as_path())
    }

    /// All names that any part of a directory has, those that are hidden too.
    fn names(&self, parts: &Parts) -> nix::Result<BTreeSet<OsString>> {
        let mut names = BTreeSet::new();
        for (layer, path) in parts {
            let listed = std::fs::read_dir(self.host_path(*layer, path));
            let found = listed.and_then(|entries| {
                entries
                    .map(|entry| Ok(entry?.file_name()))
                    .collect::<io::Result<Vec<_>>>()
            });
            names.extend(found.map_err(|error| errno(&error))?);
        }
        Ok(names)
    }

    fn entry(&self, path: &Path, found: &Found) -> nix::Result<Option<Entry>> {
        let stat = &found.stat;
        let kind = match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFDIR => EntryKind::Directory,
            SFlag::S_IFREG => EntryKind::File {
                host: self.host_path(found.layer, &found.path),
                size: stat.st_size.unsigned_abs(),
                identity: (stat.st_dev, stat.st_ino),
            },
            SFlag::S_IFLNK => EntryKind::SymbolicLink(self.view.read_link(found)?),
            SFlag::S_IFIFO => EntryKind::Fifo,
            _ => return Ok(None),
        };
        let (uid, gid) = self.ids.inside(stat.st_uid, stat.st_gid);
        Ok(Some(Entry {
            path: path.to_owned(),
            kind,
            mode: stat.st_mode & 0o7777,
            uid,
            gid,
        }))
    }
}
