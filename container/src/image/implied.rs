//! Directories of which a layer says nothing, but that something in them is changed.
//!
//! Some tools, umoci among them, write `home/user/file` without a member for `home/user`. Overlayfs shows a directory with the
//! attributes of the highest layer that has it, so this one would come to belong to root. Layers are shared, and what another
//! image has below is not for this one's layer to say. So an image that needs it gets a layer of our own on top: those directories
//! alone, empty, with the attributes that they have in the highest layer that does speak of them. An opaque one is asked for too:
//! it hides what is in the directory, and says nothing of the directory itself.
//!
//! A directory that only one layer has, and which has whiteouts, gets into it too: overlayfs looks for them only where it merges,
//! and would list them here as files that can't be looked at.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::attributes::Attributes;
use super::digest::Digest;
use super::path::SafePath;
use super::tree::Directory;
use super::unpack::LayerFacts;
use super::view::View;
use crate::isolation::id_map::IdMap;

/// The directories of the layer on top, with their attributes; empty if none is needed.
pub type Restored = BTreeMap<SafePath, Attributes>;

/// What has to be restored in `view`, of whose layers `facts` are known, the highest layer's first.
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

/// Whether the directory `path` would be seen otherwise than it is.
fn is_needed(view: &View, facts: &[&LayerFacts], path: &SafePath) -> nix::Result<bool> {
    let silent = |layer: usize| facts[layer].implied.contains(path);
    let speaking = view.parts(path, silent)?;
    let speaking = speaking.iter().position(|(layer, _)| !silent(*layer));
    if speaking.is_some_and(|first| first > 0) {
        return Ok(true);
    }
    // The container's root has a layer on top already.
    let alone = match view.parts(path, |_| false)?.as_slice() {
        [(layer, _)] => facts[*layer].hiding.contains(path),
        _ => false,
    };
    Ok(alone && !path.is_root())
}

/// The attributes of the directory `path` in the highest layer that speaks of it, or else that has it.
fn attributes(view: &View, facts: &[&LayerFacts], path: &SafePath) -> nix::Result<Attributes> {
    let silent = |layer: usize| facts[layer].implied.contains(path);
    let parts = view.parts(path, silent)?;
    let speaking = parts.iter().find(|(layer, _)| !silent(*layer));
    let (layer, path) = speaking
        .or(parts.first())
        .ok_or(nix::errno::Errno::ENOENT)?;
    Attributes::of_directory(&view.open_part(*layer, path)?)
}

/// The identity of a layer of these directories.
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
