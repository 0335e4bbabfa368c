//! The image in what `docker save` and `podman save` write: `manifest.json` lists the images.

use serde::Deserialize;

use super::choice::{Candidate, choose};
use super::files::Source;
use super::resolved::{LayerFile, Resolved, configuration, with_layers};
use crate::image::digest::Digest;
use crate::image::error::ImageError;

/// One image of `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// Finds the image that is called `reference`, or the only one.
pub fn resolve(source: &Source, reference: Option<&str>) -> Result<Resolved, ImageError> {
    let images: Vec<DockerImage> = source.json("manifest.json", "list of `docker save`", None)?;
    if images.is_empty() {
        return Err(ImageError::Empty {
            path: source.path().to_owned(),
        });
    }
    let candidates = images.into_iter().enumerate().map(|(group, image)| {
        Ok(Candidate {
            names: image.repo_tags.clone().unwrap_or_default(),
            digests: vec![id(source, &image)?],
            group,
            rank: 0,
            image,
        })
    });
    let candidates = candidates.collect::<Result<Vec<_>, ImageError>>()?;
    let mut chosen = choose(source.path(), candidates, reference)?;
    let wanted = |name: &String| reference == Some(name);
    let name = chosen.names.iter().position(wanted).unwrap_or(0);
    let name = chosen.names.into_iter().nth(name);
    let image = chosen.image;
    let named = named(&image);
    let config = configuration(source, &image.config, named.as_ref())?;
    let layers = image.layers.into_iter().flatten();
    let layers = layers.map(|name| LayerFile { name, digest: None });
    let Some(id) = chosen.digests.pop() else {
        return Err(ImageError::Missing { file: image.config });
    };
    with_layers(name, id, config, layers.collect())
}

/// The digest in the name of the configuration's file: `HEX.json`, or `blobs/sha256/HEX` as in an
/// OCI layout.
fn named(image: &DockerImage) -> Option<Digest> {
    let stem = image.config.rsplit('/').next().unwrap_or_default();
    Digest::from_hex(stem.strip_suffix(".json").unwrap_or(stem))
}

/// The digest of the configuration, which is the image's identity.
fn id(source: &Source, image: &DockerImage) -> Result<Digest, ImageError> {
    match named(image) {
        Some(id) => Ok(id),
        None => Ok(Digest::of(&source.bytes(&image.config)?)),
    }
}
