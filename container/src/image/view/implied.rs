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

use super::lookup::View;
use crate::image::layer::attributes::Attributes;
use crate::image::layer::path::SafePath;
use crate::image::layer::tree::Kind;
use crate::image::layer::unpack::LayerFacts;

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
pub fn attributes(view: &View, facts: &[&LayerFacts], path: &SafePath) -> nix::Result<Attributes> {
    let silent = |layer: usize| facts[layer].implied.contains(path);
    let parts = view.parts(path, silent)?;
    let speaking = parts.iter().find(|(layer, _)| !silent(*layer));
    let (layer, path) = speaking
        .or(parts.first())
        .ok_or(nix::errno::Errno::ENOENT)?;
    Attributes::of_directory(&view.open_part(*layer, path)?)
}

/// The outermost directories that a layer's archive implies where the layers below have a symbolic
/// link. As with docker, containers have the directory, and see nothing of the link's target there.
pub fn over_links(view: &View, facts: &[&LayerFacts]) -> nix::Result<BTreeSet<SafePath>> {
    let mut over_links = BTreeSet::new();
    for (layer, facts) in facts.iter().enumerate() {
        for path in &facts.implied {
            let mut parts = view.root();
            parts.retain(|(other, _)| *other > layer);
            let mut found = None;
            for name in path.as_path() {
                (found, parts) = view.step(&parts, name, |_| false)?;
            }
            if found.is_some_and(|found| Kind::of(&found.stat) == Kind::Link) {
                over_links.insert(path.clone());
            }
        }
    }
    Ok(over_links)
}
