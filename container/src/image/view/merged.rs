//! An image's root as one tree: the list of everything that overlayfs shows of the layers.
//!
//! A guest kernel cannot use the host's overlayfs, so the files of a guest are gathered here. The
//! [`View`] in which programs are looked up applies whiteouts and opaque directories. Owners are
//! shifted back to those of the image (docs/adr/0004).

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::SFlag;

use super::lookup::{Found, Parts, View};
use crate::image::layer::path::SafePath;
use crate::image::layer::tree::errno;
use crate::isolation::id_map::IdMap;

/// The layers of an image cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path:?} in the image's layers")]
pub struct MergedError {
    path: PathBuf,
    source: Errno,
}

/// A file or directory in an image's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The absolute path in the image.
    pub path: PathBuf,
    /// What the entry is.
    pub kind: EntryKind,
    /// The permissions, with the set-user-ID, set-group-ID and sticky bits.
    pub mode: u32,
    /// The owner's id in the image.
    pub uid: u32,
    /// The group's id in the image.
    pub gid: u32,
}

/// What an [`Entry`] is. Devices are never imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// The path of the content on the host.
        host: PathBuf,
        /// The length of the content, in bytes.
        size: u64,
        /// The numbers of the device and inode on the host, which all names of one file share.
        identity: (u64, u64),
    },
    /// A symbolic link with this content.
    SymbolicLink(OsString),
    /// A named pipe.
    Fifo,
}

/// Everything in the root of an image with these layers, of which the lowest comes first. The
/// layers' owners were made for `ids`. A directory comes before what is in it. The root itself is
/// not listed.
///
/// # Errors
/// A layer cannot be read.
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
    /// The path on the host of `path` in a layer, which is counted from the highest. Nobody else
    /// can change the store, so no link can lead the path elsewhere.
    fn host_path(&self, layer: usize, path: &SafePath) -> PathBuf {
        self.layers[self.layers.len() - 1 - layer].join(path.as_path())
    }

    /// All names that any part of a directory has, including hidden names.
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

    /// The entry for something found; `None` for a whiteout or a socket.
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
