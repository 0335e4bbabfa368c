//! The image in an OCI layout. Indexes lead to manifests, and these to a configuration and layers.
//!
//! Beside an image there may be signatures, lists of its parts and other artifacts. They are passed
//! over, by what the index or their manifest says: a type of artifact, or layers that are no layers
//! of an image. Files that the layout lacks are passed over too, because docker's archives have an
//! index of all platforms and the files of one.

use super::choice::{Candidate, choose, list};
use super::documents::{CONFIGURATIONS, Descriptor, INDEXES, Index, MANIFESTS, Manifest, Platform};
use super::files::Source;
use super::platform;
use super::resolved::{LayerFile, Resolved, configuration, with_layers};
use crate::image::digest::Digest;
use crate::image::error::ImageError;

/// The most indexes on the way to a manifest.
const MAX_INDEXES: usize = 4;
/// The most manifests and indexes that are looked at.
const MAX_LOOKS: usize = 1000;

/// The annotation with a manifest's tag or name.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation with an image's whole name, as docker and containerd write it beside a tag.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// Finds the image that is called `reference`, or the only one.
pub fn resolve(source: &Source, reference: Option<&str>) -> Result<Resolved, ImageError> {
    let index: Index = source.json("index.json", "index of an OCI layout", None)?;
    let mut search = Search {
        source,
        level: platform::level(),
        looks: 0,
        found: Vec::new(),
        foreign: Vec::new(),
        passed_over: None,
    };
    for (group, descriptor) in index.manifests.iter().enumerate() {
        // One image for several machines may be listed here, in place of an index of its own.
        let same = |other: &Descriptor| {
            descriptor.platform.is_some()
                && other.platform.is_some()
                && names(other) == names(descriptor)
        };
        let group = index.manifests.iter().position(same).unwrap_or(group);
        let origin = Origin {
            names: names(descriptor),
            digests: Vec::new(),
            group,
        };
        search.look_at(descriptor, origin, 0)?;
    }
    if search.found.is_empty() {
        return Err(search.nothing());
    }
    let chosen = choose(source.path(), search.found, reference)?;
    from_manifest(source, &chosen.image, chosen.names.into_iter().next())
}

/// Where a manifest stands.
#[derive(Clone)]
struct Origin {
    /// The names that the layout's index gives.
    names: Vec<String>,
    /// The digests of the indexes on the way.
    digests: Vec<Digest>,
    group: usize,
}

struct Search<'s> {
    source: &'s Source,
    /// The level of this processor.
    level: u8,
    looks: usize,
    found: Vec<Candidate<Manifest>>,
    /// The platforms of images for other machines.
    foreign: Vec<String>,
    /// Why the first of the other files is no image.
    passed_over: Option<ImageError>,
}

impl Search<'_> {
    /// Adds the images that `descriptor` leads to.
    fn look_at(
        &mut self,
        descriptor: &Descriptor,
        mut origin: Origin,
        depth: usize,
    ) -> Result<(), ImageError> {
        self.looks += 1;
        if depth > MAX_INDEXES || self.looks > MAX_LOOKS {
            return Err(ImageError::TooManyManifests {
                path: self.source.path().to_owned(),
                most: MAX_LOOKS,
            });
        }
        if let Some(foreign) = descriptor.platform.as_ref().filter(|p| !p.is_ours()) {
            self.foreign.push(foreign.to_string());
            return Ok(());
        }
        if let Err(why) = may_be_image(descriptor) {
            self.passed_over.get_or_insert(why);
            return Ok(());
        }
        let digest: Digest = descriptor.digest.parse()?;
        let file = blob(&digest);
        if !self.source.has(&file)? {
            self.passed_over.get_or_insert(ImageError::Missing { file });
            return Ok(());
        }
        origin.digests.push(digest.clone());
        if INDEXES.contains(&descriptor.media_type.as_str()) {
            let index: Index = self.source.json(&file, "index", Some(&digest))?;
            for inner in &index.manifests {
                self.look_at(inner, origin.clone(), depth + 1)?;
            }
            return Ok(());
        }
        let manifest: Manifest = self.source.json(&file, "manifest", Some(&digest))?;
        if let Err(why) = is_image(&manifest) {
            self.passed_over.get_or_insert(why);
            return Ok(());
        }
        let rank = descriptor.platform.as_ref();
        let rank = rank.map_or(1, |platform: &Platform| platform.rank(self.level));
        self.found.push(Candidate {
            names: origin.names,
            digests: origin.digests,
            group: origin.group,
            rank,
            image: manifest,
        });
        Ok(())
    }

    /// Why there is no image.
    fn nothing(self) -> ImageError {
        let path = self.source.path().to_owned();
        if !self.foreign.is_empty() {
            let found = list(&self.foreign);
            return ImageError::Platform { path, found };
        }
        self.passed_over.unwrap_or(ImageError::Empty { path })
    }
}

/// Whether `descriptor` may lead to an image; else why not.
fn may_be_image(descriptor: &Descriptor) -> Result<(), ImageError> {
    let artifact = descriptor.artifact_type.as_deref().unwrap_or_default();
    if !artifact.is_empty() && !CONFIGURATIONS.contains(&artifact) {
        return Err(unknown("what the index holds", artifact));
    }
    let media_type = descriptor.media_type.as_str();
    if MANIFESTS.contains(&media_type) || INDEXES.contains(&media_type) {
        return Ok(());
    }
    Err(unknown("a manifest", media_type))
}

/// Whether `manifest` is of an image; else why not.
fn is_image(manifest: &Manifest) -> Result<(), ImageError> {
    let media_type = manifest.config.media_type.as_str();
    if !CONFIGURATIONS.contains(&media_type) {
        return Err(unknown("the configuration", media_type));
    }
    for layer in manifest.layers.iter().flatten() {
        let media_type = layer.media_type.as_str();
        let is_layer = [
            "application/vnd.oci.image.layer.",
            "application/vnd.docker.image.rootfs.",
        ]
        .iter()
        .any(|beginning| media_type.starts_with(beginning));
        // What is encrypted has the suffix, and is of no use here.
        if !is_layer || media_type.ends_with("+encrypted") {
            return Err(unknown(&format!("the layer {}", layer.digest), media_type));
        }
    }
    Ok(())
}

fn unknown(what: &str, media_type: &str) -> ImageError {
    ImageError::MediaType {
        what: what.to_owned(),
        media_type: media_type.to_owned(),
    }
}

/// The file of an OCI layout that has this digest.
fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The names that an index gives to a manifest, the fullest first.
fn names(manifest: &Descriptor) -> Vec<String> {
    let annotations = manifest.annotations.as_ref();
    let named = |key| annotations.and_then(|all| all.get(key)).cloned();
    [IMAGE_NAME, REF_NAME]
        .into_iter()
        .filter_map(named)
        .collect()
}

fn from_manifest(
    source: &Source,
    manifest: &Manifest,
    name: Option<String>,
) -> Result<Resolved, ImageError> {
    let id: Digest = manifest.config.digest.parse()?;
    let config = configuration(source, &blob(&id), Some(&id))?;
    let layers = manifest.layers.iter().flatten().map(|layer| {
        let digest: Digest = layer.digest.parse()?;
        Ok(LayerFile {
            name: blob(&digest),
            digest: Some(digest),
        })
    });
    let layers = layers.collect::<Result<Vec<_>, ImageError>>()?;
    with_layers(name, id, config, layers)
}
