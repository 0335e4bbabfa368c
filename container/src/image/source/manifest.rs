//! Which configuration and layers make up the image in a [`Source`]. The OCI layout says so in
//! indexes and manifests, `docker save` says so in `manifest.json`.
//!
//! Newer versions of docker write both into one archive. Then the OCI layout is read, because only
//! that has the digest of everything.

use std::fmt::Display;

use oci_spec::image::{
    Arch, Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType, Os,
};
use serde::Deserialize;

use super::compression::Compression;
use super::files::Source;
use crate::image::digest::Digest;
use crate::image::error::ImageError;

/// The most layers that an image may have. Overlayfs takes 500, other engines no more than this.
pub const MAX_LAYERS: usize = 127;
/// The most indexes on the way to a manifest.
const MAX_INDEXES: usize = 4;

/// The annotation with a manifest's tag or name.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation with an image's whole name, as docker and containerd write it beside a tag.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// An image whose parts are known, but whose layers are not yet read.
#[derive(Debug)]
pub struct Resolved {
    /// The name that the image has in the source.
    pub name: Option<String>,
    /// The digest of the configuration, which is the image's identity.
    pub id: Digest,
    /// How programs of the image are to be run.
    pub config: ImageConfiguration,
    /// The layers, lowest first.
    pub layers: Vec<LayerBlob>,
}

/// A layer as the source has it.
#[derive(Debug, PartialEq, Eq)]
pub struct LayerBlob {
    /// The name of the layer's file.
    pub file: String,
    /// The digest of the file, if the manifest gives one.
    pub digest: Option<Digest>,
    /// How the file is compressed, if a media type says so.
    pub compression: Option<Compression>,
    /// The digest of the decompressed archive, which is the layer's identity.
    pub diff_id: Digest,
}

/// Finds the image in `source`. If the source holds many images, the image is the one that is
/// called `reference`.
pub fn resolve(source: &Source, reference: Option<&str>) -> Result<Resolved, ImageError> {
    if source.has("oci-layout")? && source.has("index.json")? {
        resolve_layout(source, reference)
    } else if source.has("manifest.json")? {
        resolve_docker(source, reference)
    } else {
        Err(ImageError::UnknownFormat {
            path: source.path().to_owned(),
        })
    }
}

/// The file of an OCI layout that has this digest.
fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn resolve_layout(source: &Source, reference: Option<&str>) -> Result<Resolved, ImageError> {
    let mut index: ImageIndex = source.json("index.json", None)?;
    let mut reference = reference;
    let mut name = None;
    for _ in 0..MAX_INDEXES {
        let chosen = choose(source, index.manifests(), reference.take())?;
        name = name.or_else(|| names(chosen).into_iter().next());
        let digest: Digest = chosen.digest().to_string().parse()?;
        match chosen.media_type().as_ref() {
            "application/vnd.oci.image.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v2+json" => {
                return from_manifest(source, &digest, name);
            }
            "application/vnd.oci.image.index.v1+json"
            | "application/vnd.docker.distribution.manifest.list.v2+json" => {
                index = source.json(&blob(&digest), Some(&digest))?;
            }
            _ => return Err(unknown("a manifest", chosen.media_type())),
        }
    }
    Err(ImageError::UnknownFormat {
        path: source.path().to_owned(),
    })
}

fn unknown(what: impl Display, media_type: &MediaType) -> ImageError {
    ImageError::MediaType {
        what: what.to_string(),
        media_type: media_type.to_string(),
    }
}

/// The names that an index gives to a manifest, the fullest first.
fn names(manifest: &Descriptor) -> Vec<String> {
    let annotations = manifest.annotations().as_ref();
    let named = |key| annotations.and_then(|all| all.get(key)).cloned();
    [IMAGE_NAME, REF_NAME]
        .into_iter()
        .filter_map(named)
        .collect()
}

/// The manifest for this machine that is called `reference`, or the only manifest.
fn choose<'a>(
    source: &Source,
    manifests: &'a [Descriptor],
    reference: Option<&str>,
) -> Result<&'a Descriptor, ImageError> {
    let fits = |manifest: &&Descriptor| {
        let platform = manifest.platform().as_ref();
        platform.is_none_or(|p| *p.architecture() == Arch::Amd64 && *p.os() == Os::Linux)
    };
    let fitting: Vec<&Descriptor> = manifests.iter().filter(fits).collect();
    if fitting.is_empty() {
        let platforms = manifests.iter().filter_map(|m| m.platform().as_ref());
        let platforms = platforms.map(|p| format!("{}/{}", p.os(), p.architecture()));
        return Err(ImageError::Platform {
            path: source.path().to_owned(),
            found: list(&platforms.collect::<Vec<_>>()),
        });
    }
    let called = |manifest: &&&Descriptor| {
        reference.is_none_or(|wanted| names(manifest).iter().any(|name| name == wanted))
    };
    let chosen: Vec<&Descriptor> = fitting.iter().filter(called).copied().collect();
    let choices = || {
        list(
            &fitting
                .iter()
                .filter_map(|m| names(m).pop())
                .collect::<Vec<_>>(),
        )
    };
    let same = |a: &&Descriptor, b: &&Descriptor| a.digest() == b.digest();
    only(source, &chosen, reference, same, choices).copied()
}

/// The only element of `chosen`, or the first if all are the same.
fn only<'a, T>(
    source: &Source,
    chosen: &'a [T],
    reference: Option<&str>,
    same: impl Fn(&T, &T) -> bool,
    choices: impl Fn() -> String,
) -> Result<&'a T, ImageError> {
    match chosen {
        [] => Err(ImageError::NoSuchReference {
            path: source.path().to_owned(),
            wanted: reference.unwrap_or_default().to_owned(),
            choices: choices(),
        }),
        [first, rest @ ..] if rest.iter().all(|other| same(first, other)) => Ok(first),
        many => Err(ImageError::Ambiguous {
            path: source.path().to_owned(),
            count: many.len(),
            choices: choices(),
        }),
    }
}

/// Names for a message. They come from the image, and there may be many.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    if names.is_empty() {
        return "nothing with a name".to_owned();
    }
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|n| n.escape_debug().to_string())
        .collect();
    format!("{}{more}", shown.join(", "))
}

fn from_manifest(
    source: &Source,
    digest: &Digest,
    name: Option<String>,
) -> Result<Resolved, ImageError> {
    let manifest: ImageManifest = source.json(&blob(digest), Some(digest))?;
    let config = manifest.config();
    match config.media_type().as_ref() {
        "application/vnd.oci.image.config.v1+json"
        | "application/vnd.docker.container.image.v1+json" => {}
        _ => return Err(unknown("the configuration", config.media_type())),
    }
    let id: Digest = config.digest().to_string().parse()?;
    let config = configuration(source, &blob(&id), Some(&id))?;
    let layers = manifest.layers().iter().map(|layer| {
        let digest: Digest = layer.digest().to_string().parse()?;
        let compression = compression(layer.media_type())
            .ok_or_else(|| unknown(format!("the layer {digest}"), layer.media_type()))?;
        Ok((blob(&digest), Some(digest), Some(compression)))
    });
    let layers = layers.collect::<Result<Vec<_>, ImageError>>()?;
    with_layers(name, id, config, layers)
}

/// How a layer of `media_type` is compressed; `None` if the media type is none of a layer.
fn compression(media_type: &MediaType) -> Option<Compression> {
    match media_type.as_ref() {
        "application/vnd.oci.image.layer.v1.tar"
        | "application/vnd.oci.image.layer.nondistributable.v1.tar"
        | "application/vnd.docker.image.rootfs.diff.tar" => Some(Compression::None),
        "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip"
        | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => Some(Compression::Gzip),
        "application/vnd.oci.image.layer.v1.tar+zstd"
        | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
        | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Some(Compression::Zstd),
        _ => None,
    }
}

fn configuration(
    source: &Source,
    file: &str,
    digest: Option<&Digest>,
) -> Result<ImageConfiguration, ImageError> {
    let config: ImageConfiguration = source.json(file, digest)?;
    if *config.architecture() != Arch::Amd64 || *config.os() != Os::Linux {
        return Err(ImageError::Platform {
            path: source.path().to_owned(),
            found: format!("{}/{}", config.os(), config.architecture()),
        });
    }
    Ok(config)
}

/// The image of these layers, each with the diff id that the configuration has for it.
fn with_layers(
    name: Option<String>,
    id: Digest,
    config: ImageConfiguration,
    layers: Vec<(String, Option<Digest>, Option<Compression>)>,
) -> Result<Resolved, ImageError> {
    let diff_ids = config.rootfs().diff_ids();
    if diff_ids.len() != layers.len() {
        return Err(ImageError::LayerCount {
            diff_ids: diff_ids.len(),
            layers: layers.len(),
        });
    }
    if layers.len() > MAX_LAYERS {
        return Err(ImageError::TooManyLayers {
            count: layers.len(),
            most: MAX_LAYERS,
        });
    }
    let paired = layers.into_iter().zip(diff_ids);
    let layers = paired.map(|((file, digest, compression), diff_id)| {
        Ok(LayerBlob {
            file,
            digest,
            compression,
            diff_id: diff_id.parse()?,
        })
    });
    let layers = layers.collect::<Result<_, ImageError>>()?;
    Ok(Resolved {
        name,
        id,
        config,
        layers,
    })
}

/// One image of `docker save`'s `manifest.json`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

fn resolve_docker(source: &Source, reference: Option<&str>) -> Result<Resolved, ImageError> {
    let images: Vec<DockerImage> = source.json("manifest.json", None)?;
    let tags = |image: &DockerImage| image.repo_tags.clone().unwrap_or_default();
    let called = |image: &&DockerImage| {
        reference.is_none_or(|wanted| tags(image).iter().any(|tag| tag == wanted))
    };
    let chosen: Vec<&DockerImage> = images.iter().filter(called).collect();
    let choices = || list(&images.iter().flat_map(tags).collect::<Vec<_>>());
    let image = only(source, &chosen, reference, |a, b| a == b, choices)?;
    // The file of the configuration is named after its digest: `HEX.json`, or `blobs/sha256/HEX` as
    // in an OCI layout.
    let stem = image.config.rsplit('/').next().unwrap_or_default();
    let named = Digest::from_hex(stem.strip_suffix(".json").unwrap_or(stem));
    let config = configuration(source, &image.config, named.as_ref())?;
    let id = match named {
        Some(id) => id,
        None => Digest::of(&source.bytes(&image.config)?),
    };
    let layers = image.layers.iter().map(|file| (file.clone(), None, None));
    let name = match reference {
        Some(reference) => Some(reference.to_owned()),
        None => tags(image).into_iter().next(),
    };
    with_layers(name, id, config, layers.collect())
}
