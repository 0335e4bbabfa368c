//! What overlayfs will show of an image's layers, looked up without mounting anything: for the way from a program's name
//! to its file, and for `/etc/passwd`. Links are followed inside the image only, as the container will.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::sys::stat::{FileStat, SFlag};

use super::path::SafePath;
use super::tree::{Directory, Kind, errno};

/// Most symbolic links on the way to a file, as in the kernel.
const MAX_LINKS: usize = 40;
/// Longest file that is read whole.
const MAX_FILE: u64 = 4 << 20;

/// An image's layers, the highest first.
#[derive(Debug)]
pub struct View {
    layers: Vec<Directory>,
}

/// A directory of the view: the highest layers' parts of it first, each in the layer of this number.
pub type Parts = Vec<(usize, SafePath)>;

/// Something that was found.
#[derive(Debug)]
pub struct Found {
    /// The layer that it is in, counted from the highest.
    pub layer: usize,
    /// Where in that.
    pub path: SafePath,
    /// Its attributes.
    pub stat: FileStat,
}

impl Found {
    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits()
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        Kind::of(&self.stat) == Kind::Directory
    }

    /// Its permissions, and what kind of thing it is.
    pub fn mode(&self) -> u32 {
        self.stat.st_mode
    }
}

impl View {
    /// The view of layers at these directories, the lowest first.
    pub fn open<'a>(layers: impl DoubleEndedIterator<Item = &'a Path>) -> nix::Result<Self> {
        let layers = layers
            .rev()
            .map(Directory::open_root)
            .collect::<nix::Result<_>>()?;
        Ok(Self { layers })
    }

    /// What is at `path`, with links followed; `None` if there is nothing.
    pub fn find(&self, path: &Path) -> nix::Result<Option<Found>> {
        let mut way = vec![self.root()];
        let mut found = None;
        let mut steps = steps(path);
        let mut links = 0;
        while let Some(step) = steps.pop_front() {
            // Something that is no directory has nothing in it.
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
                links += 1;
                if links > MAX_LINKS {
                    return Ok(None);
                }
                for step in self::steps(Path::new(&self.read_link(&next)?))
                    .into_iter()
                    .rev()
                {
                    steps.push_front(step);
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

    /// The parts of the directory `path`, the highest layers' first, each with the number of its layer, counted from the
    /// highest; none if it is no directory. Those below an opaque one, which have a part in its attributes at most, are
    /// among them if `through` says so of the opaque one's layer.
    pub fn parts(&self, path: &SafePath, through: impl Fn(usize) -> bool) -> nix::Result<Parts> {
        let Some((parent, name)) = path.split() else {
            return Ok(self.root());
        };
        let mut parts = self.root();
        for name in parent.as_path() {
            (_, parts) = self.step(&parts, name, |_| false)?;
        }
        Ok(self.step(&parts, name, through)?.1)
    }

    /// A part of a directory, open.
    pub fn open_part(&self, layer: usize, path: &SafePath) -> nix::Result<Directory> {
        self.layers[layer].open(path)
    }

    /// The root directory's parts.
    pub fn root(&self) -> Parts {
        (0..self.layers.len())
            .map(|n| (n, SafePath::default()))
            .collect()
    }

    /// The content of the regular file at `path`, if there is one of a sensible size.
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

    /// What a symbolic link says.
    pub fn read_link(&self, found: &Found) -> nix::Result<OsString> {
        let (parent, name) = found.path.split().ok_or(Errno::EINVAL)?;
        self.layers[found.layer].open(&parent)?.read_link(name)
    }

    /// What is called `name` in the directory of these parts; and its own parts, if it is a directory.
    pub fn step(
        &self,
        parts: &[(usize, SafePath)],
        name: &OsStr,
        through: impl Fn(usize) -> bool,
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
            if opaque && !through(*layer) {
                break;
            }
        }
        Ok((first, below))
    }

    /// The directory of these parts itself.
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

/// A step on the way along a path.
enum Step {
    Root,
    Up,
    Into(OsString),
}

fn steps(path: &Path) -> VecDeque<Step> {
    path.components()
        .filter_map(|component| match component {
            Component::RootDir => Some(Step::Root),
            Component::ParentDir => Some(Step::Up),
            Component::Normal(name) => Some(Step::Into(name.to_owned())),
            Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

/// Goes back to the root, or one up from where `way` leads; above the root is the root.
fn take_back(way: &mut Vec<Parts>, step: &Step) {
    let left = match step {
        Step::Root => 1,
        _ => way.len().saturating_sub(1).max(1),
    };
    way.truncate(left);
}
