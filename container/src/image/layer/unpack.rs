//! Unpacking one layer: an archive becomes a tree that overlayfs can stack in a user namespace.
//!
//! Whiteouts become character devices 0/0, and opaque directories get the attribute
//! `user.overlay.opaque`. Overlayfs looks for both when it is mounted with `userxattr`. Owners are
//! shifted to the ids that the container's ids are on the host (docs/adr/0004). Directories get
//! their attributes last: until then they must be writable, and their times would change.

mod content;
mod enter;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::Read;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::attributes::Attributes;
use super::change::{Change, Node, interpret};
use super::fault::LayerFault;
use super::meter::{Meter, MeteredReader};
use super::path::SafePath;
use super::tree::{Directory, Kind};
use crate::image::archive::members::{Member, Members};
use crate::isolation::id_map::IdMap;

/// What is known of a layer once it is unpacked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerFacts {
    /// Bytes of all files of the layer.
    pub bytes: u64,
    /// How many devices were not made.
    pub devices_left_out: u64,
    /// How many extended attributes were not kept.
    pub attributes_left_out: u64,
    /// How many files belong to the overflow id, because no container has their owner's id.
    #[serde(default)]
    pub owners_changed: u64,
    /// Whether the layer hides everything of the layers below.
    pub hides_all_below: bool,
    /// Directories for which the archive has no member, although it has members in them: the layer
    /// says nothing of their attributes.
    pub implied: BTreeSet<SafePath>,
    /// Directories with whiteouts in them.
    pub hiding: BTreeSet<SafePath>,
}

/// Unpacks the archive that `reader` gives into the empty directory `root`. Bytes after the
/// archive's end are not read.
pub fn unpack(
    reader: impl Read,
    root: Directory,
    ids: IdMap,
    meter: &Meter,
) -> Result<LayerFacts, LayerFault> {
    let mut members = Members::new(MeteredReader::new(reader, meter.clone()));
    let mut unpacker = Unpacker {
        root,
        ids,
        meter,
        directories: BTreeMap::new(),
        facts: LayerFacts::default(),
    };
    unpacker
        .directories
        .insert(SafePath::default(), Attributes::plain_directory(ids));
    while let Some(member) = members.next()? {
        unpacker.apply(&member, &mut members)?;
    }
    unpacker.finish()
}

struct Unpacker<'a> {
    root: Directory,
    ids: IdMap,
    meter: &'a Meter,
    /// The attributes that directories get in the end.
    directories: BTreeMap<SafePath, Attributes>,
    facts: LayerFacts,
}

/// For `map_err`: the kernel refused to write at `path`.
fn at(path: &SafePath) -> impl Fn(Errno) -> LayerFault {
    move |source| LayerFault::Write {
        name: path.as_path().to_owned(),
        source,
    }
}

/// For `map_err`: the kernel refused to hide what the layers below have at `path`.
fn hiding(path: &SafePath) -> impl Fn(Errno) -> LayerFault {
    move |source| LayerFault::Hide {
        name: path.as_path().to_owned(),
        source,
    }
}

impl Unpacker<'_> {
    fn apply<R: Read>(
        &mut self,
        member: &Member,
        members: &mut Members<R>,
    ) -> Result<(), LayerFault> {
        match interpret(member)? {
            Change::Nothing => Ok(()),
            Change::Opaque(directory) if directory.is_root() => {
                self.facts.hides_all_below = true;
                Ok(())
            }
            Change::Opaque(directory) => {
                let entered = self.enter(&directory)?;
                let made = entered.directory.make_opaque();
                made.map_err(hiding(&entered.path))
            }
            Change::Whiteout(path) => self.hide(&path),
            Change::Node(path, node) => {
                let (attributes, differences) = Attributes::of(member, self.ids);
                self.facts.attributes_left_out += differences.attributes_left_out;
                self.facts.owners_changed += differences.owners_changed;
                self.make(&path, &node, attributes, member, members)
            }
        }
    }

    fn charge(&self, path: &SafePath) -> Result<(), LayerFault> {
        let length = path.as_path().as_os_str().len();
        Ok(self.meter.charge_node(length)?)
    }

    /// Hides what the layers below have at `path`. What this layer has there stays.
    fn hide(&mut self, path: &SafePath) -> Result<(), LayerFault> {
        let Some((parent, name)) = path.split() else {
            return Ok(());
        };
        let parent = self.enter(&parent)?;
        let path = &parent.child(name)?;
        match parent.directory.kind(name).map_err(at(path))? {
            None => {
                self.charge(path)?;
                let made = parent.directory.make_whiteout(name);
                self.facts.hiding.insert(parent.path);
                made.map_err(hiding(path))
            }
            Some(Kind::Directory) => {
                self.facts.implied.remove(path);
                let directory = self.root.open(path).map_err(at(path))?;
                directory.make_opaque().map_err(hiding(path))
            }
            Some(Kind::Whiteout | Kind::Link | Kind::Other) => Ok(()),
        }
    }

    fn make<R: Read>(
        &mut self,
        path: &SafePath,
        node: &Node,
        attributes: Attributes,
        member: &Member,
        members: &mut Members<R>,
    ) -> Result<(), LayerFault> {
        let Some((parent, name)) = path.split() else {
            return self.describe_directory(path, attributes);
        };
        let entered = self.enter(&parent)?;
        let path = &entered.child(name)?;
        let parent = &entered.directory;
        match node {
            Node::Directory => {
                self.make_directory(parent, path, name)?;
                return self.describe_directory(path, attributes);
            }
            Node::HardLink(target) => return self.make_hard_link(parent, path, name, target),
            _ => {}
        }
        self.clear(parent, path, name)?;
        self.charge(path)?;
        let made = match node {
            Node::Directory | Node::HardLink(_) => Ok(()),
            Node::File => {
                let mut file = parent.make_file(name).map_err(at(path))?;
                self.facts.bytes += member.size;
                content::copy(member, members, &mut file, path, self.meter)?;
                attributes.give_to(&file)
            }
            Node::SymbolicLink(content) => parent
                .make_link(name, content)
                .and_then(|()| attributes.give_to_link(parent, name)),
            Node::Fifo => parent
                .make_fifo(name)
                .and_then(|()| attributes.give_to_fifo(parent, name)),
            Node::Device => {
                self.facts.devices_left_out += 1;
                self.facts.hiding.insert(entered.path.clone());
                return parent.make_whiteout(name).map_err(hiding(path));
            }
        };
        made.map_err(at(path))
    }

    /// Remembers the attributes of a directory. Its extended attributes, which may be long, are
    /// given to the directory at once.
    fn describe_directory(
        &mut self,
        path: &SafePath,
        attributes: Attributes,
    ) -> Result<(), LayerFault> {
        let directory = self.root.open(path).and_then(|opened| opened.file());
        let remembered = directory.and_then(|directory| attributes.give_extended_to(&directory));
        self.directories
            .insert(path.clone(), remembered.map_err(at(path))?);
        self.facts.implied.remove(path);
        Ok(())
    }

    /// Makes room for something that is no directory. If an archive has several members of a name,
    /// the last member counts, and what is below a directory that it replaces goes.
    fn clear(
        &mut self,
        parent: &Directory,
        path: &SafePath,
        name: &OsStr,
    ) -> Result<(), LayerFault> {
        let Some(kind) = parent.kind(name).map_err(at(path))? else {
            return Ok(());
        };
        if kind == Kind::Directory {
            let directory = self.root.open(path).map_err(at(path))?;
            directory.clear().map_err(at(path))?;
            self.forget(path);
        }
        parent.remove(name, kind).map_err(at(path))
    }

    /// Forgets what is known of the directory `path` and of those below it.
    fn forget(&mut self, path: &SafePath) {
        let below = |other: &&SafePath| other.as_path().starts_with(path.as_path());
        let directories = self.directories.range(path.clone()..);
        let directories = directories.map(|(other, _)| other);
        for gone in directories.take_while(below).cloned().collect::<Vec<_>>() {
            self.directories.remove(&gone);
            self.facts.implied.remove(&gone);
            self.facts.hiding.remove(&gone);
        }
    }

    fn make_hard_link(
        &mut self,
        parent: &Directory,
        path: &SafePath,
        name: &OsStr,
        target: &SafePath,
    ) -> Result<(), LayerFault> {
        let missing = || LayerFault::HardLink {
            name: path.as_path().display().to_string(),
            target: target.as_path().display().to_string(),
            why: "is no file of this layer",
        };
        let (from, target_name) = target.split().ok_or_else(missing)?;
        let from = self.find(&from)?.ok_or_else(missing)?;
        let target = from.child(target_name)?;
        let kind = from.directory.kind(target_name).map_err(at(path))?;
        if !matches!(kind, Some(Kind::Other | Kind::Link)) {
            return Err(missing());
        }
        if *path == target {
            return Ok(());
        }
        self.clear(parent, path, name)?;
        self.charge(path)?;
        parent
            .make_hard_link(name, &from.directory, target_name)
            .map_err(at(path))
    }

    /// Gives the directories their attributes, the deepest first. A directory that may not be
    /// entered any more is not entered again.
    fn finish(self) -> Result<LayerFacts, LayerFault> {
        for (path, attributes) in self.directories.iter().rev() {
            let directory = self.root.open(path).and_then(|d| d.file());
            let given = directory.and_then(|directory| attributes.give_to(&directory));
            given.map_err(at(path))?;
        }
        Ok(self.facts)
    }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;

#[cfg(test)]
mod names_tests;
