//! Following paths in stacked layers, as overlayfs will show them. A program's file and
//! `/etc/passwd` are found in this way. Symbolic links are followed inside the image only, as they
//! are in a container.

use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{FileStat, SFlag};

use crate::image::layer::path::SafePath;
use crate::image::layer::steps::{Route, Step};
use crate::image::layer::tree::{Directory, Kind, errno};

/// The longest file that is read whole, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// The stacked layers of an image.
#[derive(Debug)]
pub struct View {
    /// The layers, the highest first.
    layers: Vec<Directory>,
}

/// A directory of the view: the number of each layer that has a part of the directory, and the
/// part's path in that layer. Layers are counted from the highest, whose part comes first.
pub type Parts = Vec<(usize, SafePath)>;

/// Something that was found in a view.
#[derive(Debug)]
pub struct Found {
    /// The number of the layer, counted from the highest.
    pub layer: usize,
    /// The path in the layer.
    pub path: SafePath,
    /// The attributes.
    pub stat: FileStat,
}

impl Found {
    /// Whether a regular file was found.
    pub fn is_file(&self) -> bool {
        self.stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits()
    }

    /// Whether a directory was found.
    pub fn is_directory(&self) -> bool {
        Kind::of(&self.stat) == Kind::Directory
    }

    /// The permissions and the kind of file (inode(7), `st_mode`).
    pub fn mode(&self) -> u32 {
        self.stat.st_mode
    }
}

impl View {
    /// The view of the layers in these directories, of which the lowest comes first.
    pub fn open<'a>(layers: impl DoubleEndedIterator<Item = &'a Path>) -> nix::Result<Self> {
        let layers = layers
            .rev()
            .map(Directory::open_root)
            .collect::<nix::Result<_>>()?;
        Ok(Self { layers })
    }

    /// What is at `path`; `None` if nothing is there. Symbolic links are followed.
    pub fn find(&self, path: &Path) -> nix::Result<Option<Found>> {
        let mut way = vec![self.root()];
        let mut found = None;
        let mut route = Route::along(path);
        while let Some(step) = route.next_step() {
            // Only a directory has something in it.
            if found
                .as_ref()
                .is_some_and(|found: &Found| !found.is_directory())
            {
                return Ok(None);
            }
            let Step::Into(name) = step else {
                take_back(&mut way, &step);
                found = None;
                continue;
            };
            let (next, parts) =
                self.step(way.last().map_or(&[], Vec::as_slice), &name, |_| false)?;
            let Some(next) = next else { return Ok(None) };
            if next.stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFLNK.bits() {
                if !route.follow(Path::new(&self.read_link(&next)?)) {
                    return Ok(None);
                }
                found = None;
                continue;
            }
            way.push(parts);
            found = Some(next);
        }
        match found {
            Some(found) => Ok(Some(found)),
            None => self.directory(way.last()),
        }
    }

    /// The parts of the directory `path`; none if `path` is no directory.
    ///
    /// An opaque part hides the parts below it. They are listed all the same if `sees_through`
    /// holds for the layer of the opaque part.
    pub fn parts(
        &self,
        path: &SafePath,
        sees_through: impl Fn(usize) -> bool,
    ) -> nix::Result<Parts> {
        let Some((parent, name)) = path.split() else {
            return Ok(self.root());
        };
        let mut parts = self.root();
        for name in parent.as_path() {
            (_, parts) = self.step(&parts, name, |_| false)?;
        }
        Ok(self.step(&parts, name, sees_through)?.1)
    }

    /// Opens a part of a directory.
    pub fn open_part(&self, layer: usize, path: &SafePath) -> nix::Result<Directory> {
        self.layers[layer].open(path)
    }

    /// The parts of the root directory.
    pub fn root(&self) -> Parts {
        (0..self.layers.len())
            .map(|n| (n, SafePath::default()))
            .collect()
    }

    /// The content of the regular file at `path`; `None` if there is no such file. A longer file is
    /// cut off after 4 MiB.
    pub fn read(&self, path: &Path) -> nix::Result<Option<Vec<u8>>> {
        let Some(found) = self.find(path)? else {
            return Ok(None);
        };
        let Some((parent, name)) = found.path.split() else {
            return Ok(None);
        };
        let Some(file) = self.layers[found.layer].open(&parent)?.open_file(name)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.take(MAX_FILE)
            .read_to_end(&mut bytes)
            .map_err(|e| errno(&e))?;
        Ok(Some(bytes))
    }

    /// The content of a symbolic link.
    pub fn read_link(&self, found: &Found) -> nix::Result<OsString> {
        let (parent, name) = found.path.split().ok_or(Errno::EINVAL)?;
        self.layers[found.layer].open(&parent)?.read_link(name)
    }

    /// The entry `name` in the directory of these parts, and the entry's own parts if the entry is
    /// a directory. `sees_through` is as for [`View::parts`].
    pub fn step(
        &self,
        parts: &[(usize, SafePath)],
        name: &OsStr,
        sees_through: impl Fn(usize) -> bool,
    ) -> nix::Result<(Option<Found>, Parts)> {
        let mut first = None;
        let mut below = Vec::new();
        for (layer, path) in parts {
            let directory = self.layers[*layer].open(path)?;
            let stat = match directory.stat(name) {
                Ok(stat) => stat,
                Err(Errno::ENOENT) => continue,
                Err(errno) => return Err(errno),
            };
            let kind = Kind::of(&stat);
            if kind == Kind::Whiteout || (first.is_some() && kind != Kind::Directory) {
                break;
            }
            let path = path.child(name);
            first.get_or_insert(Found {
                layer: *layer,
                path: path.clone(),
                stat,
            });
            if kind != Kind::Directory {
                break;
            }
            let opaque = self.layers[*layer].open(&path)?.is_opaque()?;
            below.push((*layer, path));
            if opaque && !sees_through(*layer) {
                break;
            }
        }
        Ok((first, below))
    }

    /// The directory that has these parts.
    fn directory(&self, parts: Option<&Parts>) -> nix::Result<Option<Found>> {
        let Some((layer, path)) = parts.and_then(|parts| parts.first()) else {
            return Ok(None);
        };
        let opened = self.layers[*layer].open(path)?;
        Ok(Some(Found {
            layer: *layer,
            path: path.clone(),
            stat: opened.stat(OsStr::new("."))?,
        }))
    }
}

/// Goes back along `way`: to the root, or to the parent. The root's parent is the root.
fn take_back(way: &mut Vec<Parts>, step: &Step) {
    let left = match step {
        Step::Root => 1,
        _ => way.len().saturating_sub(1).max(1),
    };
    way.truncate(left);
}
