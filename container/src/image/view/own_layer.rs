//! The layer that isobench puts on top of an image's own, where the image needs one.
//!
//! It gives directories back their attributes ([`implied`](super::implied)), and has what engines make
//! when they start a container: the working directory, if no layer has it, and an `/etc/hosts`, if
//! the image has none or an empty one, so that `localhost` is found. All this is made once, at the
//! import: a start has nothing to make, and every target has it, guests too.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::Write as _;

use nix::sys::stat::SFlag;

use super::implied::{self, Restored};
use super::lookup::View;
use crate::image::digest::Digest;
use crate::image::layer::attributes::Attributes;
use crate::image::layer::path::SafePath;
use crate::image::layer::steps::Route;
use crate::image::layer::tree::{Directory, Kind, errno};
use crate::image::layer::unpack::LayerFacts;
use crate::isolation::id_map::IdMap;

/// The content of `/etc/hosts`: as docker writes it, and the name of isobench's containers.
const HOSTS: &str = "127.0.0.1\tlocalhost isobench\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// What the layer on top has.
#[derive(Debug, Default)]
pub struct OwnLayer {
    /// The directories, with their attributes.
    directories: Restored,
    /// The path of the file of host names.
    hosts: Option<SafePath>,
}

impl OwnLayer {
    /// What the layer on top of `view` has so that its directories have their attributes. `facts` are
    /// the facts of its layers, of which the highest comes first.
    pub fn of(view: &View, facts: &[&LayerFacts]) -> nix::Result<Self> {
        Ok(Self {
            directories: implied::restored(view, facts)?,
            hosts: None,
        })
    }

    /// Adds what engines make when they start a container of the image.
    pub fn add_what_engines_make(
        &mut self,
        view: &View,
        facts: &[&LayerFacts],
        working_directory: &str,
        ids: IdMap,
    ) -> nix::Result<()> {
        // A relative one is refused when a program is to start there.
        if working_directory.starts_with('/')
            && let Ok(path) = SafePath::parse(working_directory.as_bytes())
            && let Some(real) = real_directory(view, &path)?
            && view.parts(&real, |_| false)?.is_empty()
        {
            self.add_directory(view, facts, &real, ids)?;
        }
        let etc = SafePath::default().child(OsStr::new("etc"));
        if let Some(etc) = real_directory(view, &etc)?
            && lacks_hosts(view, &etc)?
        {
            self.add_directory(view, facts, &etc, ids)?;
            self.hosts = Some(etc.child(OsStr::new("hosts")));
        }
        Ok(())
    }

    /// Whether no such layer is needed.
    pub fn is_empty(&self) -> bool {
        self.directories.is_empty() && self.hosts.is_none()
    }

    /// Adds the directory `path`, and those on the way to it, with the attributes that they have.
    fn add_directory(
        &mut self,
        view: &View,
        facts: &[&LayerFacts],
        path: &SafePath,
        ids: IdMap,
    ) -> nix::Result<()> {
        for needed in path.parents().into_iter().chain([path.clone()]) {
            let attributes = if view.parts(&needed, |_| false)?.is_empty() {
                Attributes::plain_directory(ids)
            } else {
                implied::attributes(view, facts, &needed)?
            };
            self.directories.entry(needed).or_insert(attributes);
        }
        Ok(())
    }

    /// The identity of the layer.
    pub fn identity(&self) -> Digest {
        let mut text = String::from("isobench: directories\n");
        for (path, attributes) in &self.directories {
            // Writing to a string can't fail.
            let _ = writeln!(text, "{} {attributes:?}", escaped(path));
        }
        if let Some(hosts) = &self.hosts {
            let _ = writeln!(text, "{} {HOSTS}", escaped(hosts));
        }
        Digest::of(text.as_bytes())
    }

    /// Makes the layer in the empty directory `root`.
    pub fn make(&self, root: &Directory, ids: IdMap) -> nix::Result<()> {
        for path in self.directories.keys() {
            if let Some((parent, name)) = path.split() {
                root.open(&parent)?.make_directory(name)?;
            }
        }
        if let Some((parent, name)) = self.hosts.as_ref().and_then(SafePath::split) {
            let mut file = root.open(&parent)?.make_file(name)?;
            file.write_all(HOSTS.as_bytes()).map_err(|e| errno(&e))?;
            Attributes::plain_file(ids).give_to(&file)?;
        }
        for (path, attributes) in self.directories.iter().rev() {
            attributes.give_to(&root.open(path)?.file()?)?;
        }
        Attributes::plain_directory(ids).give_to(&root.file()?)
    }
}

fn escaped(path: &SafePath) -> impl std::fmt::Display + '_ {
    path.as_path().as_os_str().as_encoded_bytes().escape_ascii()
}

/// The path without links of the directory `path`, which need not be there as far as to its end.
/// `None` if something else is in the way.
fn real_directory(view: &View, path: &SafePath) -> nix::Result<Option<SafePath>> {
    let mut real = SafePath::default();
    let mut route = Route::along(path.as_path());
    while let Some(name) = route.next_name(&mut real) {
        let Ok(next) = real.join(&name) else {
            return Ok(None);
        };
        let parts = view.parts(&real, |_| false)?;
        let (found, _) = view.step(&parts, &name, |_| false)?;
        match found.as_ref().map(|found| (found, Kind::of(&found.stat))) {
            None | Some((_, Kind::Directory)) => real = next,
            Some((link, Kind::Link)) if route.follow(view.read_link(link)?.as_ref()) => {}
            Some(_) => return Ok(None),
        }
    }
    Ok(Some(real))
}

/// Whether the directory `etc` has no file of host names, or an empty one.
fn lacks_hosts(view: &View, etc: &SafePath) -> nix::Result<bool> {
    let parts = view.parts(etc, |_| false)?;
    let (found, _) = view.step(&parts, OsStr::new("hosts"), |_| false)?;
    Ok(found.is_none_or(|found| {
        let kind = found.stat.st_mode & SFlag::S_IFMT.bits();
        kind == SFlag::S_IFREG.bits() && found.stat.st_size == 0
    }))
}
