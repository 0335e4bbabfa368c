//! Directories that a layer's archive implies, without saying anything about their attributes.
//!
//! Some tools, umoci among them, write `home/user/file` without a member for `home/user`. Overlayfs
//! shows a directory with the attributes of the highest layer that has it, so `home/user` would
//! come to belong to root.
//!
//! The layer itself cannot be mended: images share layers, and two images can have different layers
//! below. So an image that needs it gets one more layer on top. That layer holds those directories
//! alone, empty, with the attributes that they have in the highest layer that says something about
//! them. A layer below an opaque directory counts here too, because an opaque directory hides what
//! is in it and says nothing about itself.
//!
//! The layer on top also holds each directory that has whiteouts and that only one layer has:
//! overlayfs looks for whiteouts only in directories that it merges, and would otherwise list them
//! as files that cannot be opened.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::lookup::View;
use crate::image::digest::Digest;
use crate::image::layer::attributes::Attributes;
use crate::image::layer::path::SafePath;
use crate::image::layer::tree::Directory;
use crate::image::layer::unpack::LayerFacts;
use crate::isolation::id_map::IdMap;

/// The directories of the layer on top, with their attributes. If there are none, no layer is
/// needed.
pub type Restored = BTreeMap<SafePath, Attributes>;

/// The directories that have to be restored in `view`. `facts` are the facts of its layers, of
/// which the highest comes first.
pub fn restored(view: &View, facts: &[&LayerFacts]) -> nix::Result<Restored> {
    let mut restored = BTreeMap::new();
    let paths = facts
        .iter()
        .flat_map(|facts| facts.implied.union(&facts.hiding));
    for path in paths.collect::<BTreeSet<_>>() {
        if !is_needed(view, facts, path)? {
            continue;
        }
        for needed in path.parents().into_iter().chain([path.clone()]) {
            if let Entry::Vacant(vacant) = restored.entry(needed) {
                let attributes = attributes(view, facts, vacant.key())?;
                vacant.insert(attributes);
            }
        }
    }
    Ok(restored)
}

/// Whether overlayfs would show the directory `path` wrongly.
fn is_needed(view: &View, facts: &[&LayerFacts], path: &SafePath) -> nix::Result<bool> {
    let silent = |layer: usize| facts[layer].implied.contains(path);
    let speaking = view.parts(path, silent)?;
    let speaking = speaking.iter().position(|(layer, _)| !silent(*layer));
    if speaking.is_some_and(|first| first > 0) {
        return Ok(true);
    }
    // The root directory is merged in any case: the container's own layer is on top.
    let alone = match view.parts(path, |_| false)?.as_slice() {
        [(layer, _)] => facts[*layer].hiding.contains(path),
        _ => false,
    };
    Ok(alone && !path.is_root())
}

/// The attributes of the directory `path` in the highest layer that says something about them, or
/// else in the highest layer that has the directory.
fn attributes(view: &View, facts: &[&LayerFacts], path: &SafePath) -> nix::Result<Attributes> {
    let silent = |layer: usize| facts[layer].implied.contains(path);
    let parts = view.parts(path, silent)?;
    let speaking = parts.iter().find(|(layer, _)| !silent(*layer));
    let (layer, path) = speaking
        .or(parts.first())
        .ok_or(nix::errno::Errno::ENOENT)?;
    Attributes::of_directory(&view.open_part(*layer, path)?)
}

/// The identity of the layer that holds these directories.
pub fn identity(restored: &Restored) -> Digest {
    let mut text = String::from("isobench: directories\n");
    for (path, attributes) in restored {
        // Writing to a string can't fail.
        let path = path.as_path().as_os_str().as_encoded_bytes().escape_ascii();
        let _ = writeln!(text, "{path} {attributes:?}");
    }
    Digest::of(text.as_bytes())
}

/// Makes the directories in the empty directory `root`.
pub fn make(restored: &Restored, root: &Directory, ids: IdMap) -> nix::Result<()> {
    for path in restored.keys() {
        if let Some((parent, name)) = path.split() {
            root.open(&parent)?.make_directory(name)?;
        }
    }
    for (path, attributes) in restored.iter().rev() {
        attributes.give_to(&root.open(path)?.file()?)?;
    }
    Attributes::plain_directory(ids).give_to(&root.file()?)
}
