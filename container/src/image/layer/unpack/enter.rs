//! Entering the directory that a member of a layer is in.
//!
//! A name on the way may be a symbolic link that an earlier member made: an archive has `lib` as a
//! link to `usr/lib`, then the file `lib/x`. Such a link is followed as the kernel follows it for a
//! process whose root is the layer (`RESOLVE_IN_ROOT` of openat2(2)): neither `/` nor `..` leaves the
//! root. The steps are taken one by one, because the path without links is needed: facts of the
//! layer are kept by it, and directories on the way may have to be made. Each step opens a directory
//! by a path without links, and the kernel refuses any other.

use std::ffi::OsStr;

use nix::errno::Errno;

use super::{Unpacker, at, hiding};
use crate::image::layer::attributes::Attributes;
use crate::image::layer::fault::LayerFault;
use crate::image::layer::path::SafePath;
use crate::image::layer::steps::Route;
use crate::image::layer::tree::{Directory, Kind};

/// An open directory of the layer.
pub(super) struct Entered {
    /// The path of the directory, without links.
    pub path: SafePath,
    /// The directory.
    pub directory: Directory,
}

impl Entered {
    /// The path of the entry `name`.
    pub fn child(&self, name: &OsStr) -> Result<SafePath, LayerFault> {
        child(&self.path, name)
    }
}

/// What is done about a directory that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// The directory is made.
    Make,
    /// Nothing.
    Leave,
}

/// How a directory came to be at its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// The directory was there before.
    Before,
    /// The directory was made, where nothing or something else was.
    Anew,
    /// The directory was made where a whiteout was. So it is opaque: it hides what is below just as
    /// the whiteout did.
    ForWhiteout,
}

impl Unpacker<'_> {
    /// Opens the directory `path`. If the archive has no member for the directory or for one on the
    /// way, or has none yet, the missing directories are made.
    pub(super) fn enter(&mut self, path: &SafePath) -> Result<Entered, LayerFault> {
        let entered = self.follow(path, Missing::Make)?;
        entered.ok_or_else(|| at(path)(Errno::ENOENT))
    }

    /// Opens the directory `path`, if the layer has it.
    pub(super) fn find(&mut self, path: &SafePath) -> Result<Option<Entered>, LayerFault> {
        self.follow(path, Missing::Leave)
    }

    fn follow(&mut self, path: &SafePath, missing: Missing) -> Result<Option<Entered>, LayerFault> {
        match self.root.open(path) {
            Ok(directory) => {
                let path = path.clone();
                return Ok(Some(Entered { path, directory }));
            }
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {}
            Err(errno) => return Err(at(path)(errno)),
        }
        let mut way = SafePath::default();
        let mut route = Route::along(path.as_path());
        while let Some(name) = route.next_name(&mut way) {
            let here = self.root.open(&way).map_err(at(&way))?;
            let next = child(&way, &name)?;
            match here.kind(&name).map_err(at(&next))? {
                Some(Kind::Directory) => way = next,
                Some(Kind::Link) => {
                    let content = here.read_link(&name).map_err(at(&next))?;
                    if !route.follow(content.as_ref()) {
                        return Err(through(path, &next));
                    }
                }
                Some(Kind::Other) => return Err(through(path, &next)),
                Some(Kind::Whiteout) | None if missing == Missing::Leave => return Ok(None),
                Some(Kind::Whiteout) | None => {
                    self.make_implied(&here, &next, &name)?;
                    way = next;
                }
            }
        }
        let directory = self.root.open(&way).map_err(at(&way))?;
        let path = way;
        Ok(Some(Entered { path, directory }))
    }

    /// Makes a directory for which the archive has no member, or has none yet.
    fn make_implied(
        &mut self,
        parent: &Directory,
        path: &SafePath,
        name: &OsStr,
    ) -> Result<(), LayerFault> {
        let made = self.make_or_keep(parent, path, name)?;
        let plain = Attributes::plain_directory(self.ids);
        self.directories.insert(path.clone(), plain);
        // Where a whiteout was, the directory is another one than that of the layers below, whose
        // attributes do not matter.
        if made != Made::ForWhiteout {
            self.facts.implied.insert(path.clone());
        }
        Ok(())
    }

    /// Makes the directory `path`, which is `name` in `parent`, unless it exists.
    pub(super) fn make_directory(
        &self,
        parent: &Directory,
        path: &SafePath,
        name: &OsStr,
    ) -> Result<(), LayerFault> {
        self.make_or_keep(parent, path, name).map(drop)
    }

    fn make_or_keep(
        &self,
        parent: &Directory,
        path: &SafePath,
        name: &OsStr,
    ) -> Result<Made, LayerFault> {
        let existing = parent.kind(name).map_err(at(path))?;
        if existing == Some(Kind::Directory) {
            return Ok(Made::Before);
        }
        if let Some(kind) = existing {
            parent.remove(name, kind).map_err(at(path))?;
        }
        self.charge(path)?;
        parent.make_directory(name).map_err(at(path))?;
        if existing != Some(Kind::Whiteout) {
            return Ok(Made::Anew);
        }
        let made = self.root.open(path).map_err(at(path))?;
        made.make_opaque().map_err(hiding(path))?;
        Ok(Made::ForWhiteout)
    }
}

/// The fault that `path` leads through `obstacle`, which is neither a directory nor a link to one.
fn through(path: &SafePath, obstacle: &SafePath) -> LayerFault {
    LayerFault::Through {
        name: path.as_path().to_owned(),
        through: obstacle.as_path().to_owned(),
    }
}

fn child(directory: &SafePath, name: &OsStr) -> Result<SafePath, LayerFault> {
    directory.join(name).map_err(|fault| LayerFault::Path {
        name: directory.as_path().join(name).display().to_string(),
        fault,
    })
}
