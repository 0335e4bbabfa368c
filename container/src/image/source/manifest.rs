//! Which configuration and layers make up the image in a [`Source`]. The OCI layout says so in
//! indexes and manifests, `docker save` says so in `manifest.json`.
//!
//! Newer versions of docker write both into one archive. Then the OCI layout is read, because only
//! that has the digest of everything.

use super::files::Source;
use super::resolved::Resolved;
use super::{docker, layout};
use crate::image::error::ImageError;

/// Files of directories that hold images in a form of their own.
const STORAGES: [&str; 3] = [
    "overlay-images/images.json",
    "vfs-images/images.json",
    "image/overlay2/repositories.json",
];

/// Finds the image in `source`. If the source holds many images, the image is the one that is
/// called `reference`, or has this digest.
pub fn resolve(source: &Source, reference: Option<&str>) -> Result<Resolved, ImageError> {
    let path = || source.path().to_owned();
    if source.has("index.json")? {
        return layout::resolve(source, reference);
    }
    // What skopeo calls `dir:` has one manifest, and a file with the version of the form.
    if source.has("manifest.json")? && source.has("version")? {
        return Err(ImageError::DirForm { path: path() });
    }
    if source.has("manifest.json")? {
        return docker::resolve(source, reference);
    }
    for file in STORAGES {
        if source.has(file)? {
            return Err(ImageError::Storage { path: path() });
        }
    }
    Err(ImageError::UnknownFormat { path: path() })
}
