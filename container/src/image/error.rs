//! What can go wrong with images. Every error is shown to the user in one line with its causes.

use std::io;
use std::path::{Path, PathBuf};

use super::archive::fault::ArchiveFault;
use super::digest::{Digest, DigestSyntaxError};
use super::layer::fault::LayerFault;
use super::layer::meter::TooMuch;
use super::name::{ImageName, NameSyntaxError};

/// An image cannot be imported, listed, removed or used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what the variant is")]
pub enum ImageError {
    #[error(transparent)]
    Name(#[from] NameSyntaxError),
    #[error(transparent)]
    Digest(#[from] DigestSyntaxError),
    #[error("cannot read {path:?}")]
    Open { path: PathBuf, source: io::Error },
    #[error("the archive {path:?} can't be unpacked")]
    ArchiveTooLarge { path: PathBuf, source: TooMuch },
    #[error(
        "{path:?} is no OCI image layout, nor a tar of one, nor what `docker save` and `podman save` write"
    )]
    UnknownFormat { path: PathBuf },
    #[error(
        "{path:?} is a copy in skopeo's form dir:, which has no names of its own; copy it once more: skopeo copy dir:{} oci:NEW:TAG", .path.display()
    )]
    DirForm { path: PathBuf },
    #[error(
        "{path:?} is the storage of an engine; let the engine write the image: docker save NAME >image.tar, or podman save --format oci-dir -o NEW NAME"
    )]
    Storage { path: PathBuf },
    #[error("{path:?} holds no image at all")]
    Empty { path: PathBuf },
    #[error("{path:?} leads to more than {most} manifests, or has indexes within indexes")]
    TooManyManifests { path: PathBuf, most: usize },
    #[error("cannot read the archive {path:?}")]
    Archive { path: PathBuf, source: ArchiveFault },
    #[error("the image has no {file:?}")]
    Missing { file: String },
    #[error("{file:?} of the image is no {what} that can be read")]
    Json {
        file: String,
        what: &'static str,
        source: serde_json::Error,
    },
    #[error("{file:?} of the image has more than {limit} bytes")]
    TooLong { file: String, limit: u64 },
    #[error("{what} should have the digest {expected} and has {found}: it is corrupt")]
    Mismatch {
        what: String,
        expected: Digest,
        found: Digest,
    },
    #[error("unknown media type {media_type:?} of {what}")]
    MediaType { what: String, media_type: String },
    #[error("{path:?} holds no image for linux/amd64, but {found}")]
    Platform { path: PathBuf, found: String },
    #[error("{path:?} holds {count} images; choose one with --ref: {choices}")]
    Ambiguous {
        path: PathBuf,
        count: usize,
        choices: String,
    },
    #[error("{path:?} holds no image {wanted:?}, but {choices}")]
    NoSuchReference {
        path: PathBuf,
        wanted: String,
        choices: String,
    },
    #[error("the image's configuration names {diff_ids} layers and its manifest {layers}")]
    LayerCount { diff_ids: usize, layers: usize },
    #[error("the image has {count} layers; at most {most} can be stacked")]
    TooManyLayers { count: usize, most: usize },
    #[error("cannot unpack the layer {layer}")]
    Layer { layer: Digest, source: LayerFault },
    #[error("cannot use the store {path:?}")]
    Store { path: PathBuf, source: io::Error },
    #[error(
        "the store {path:?} belongs to another user, or others may write to it; set ISOBENCH_STORE to a directory of your own"
    )]
    NotPrivate { path: PathBuf },
    #[error(
        "the store {path:?} is on overlayfs, where a layer can't hide files of the layers below; set ISOBENCH_STORE to a directory on a disk or a tmpfs"
    )]
    StoreOnOverlayfs { path: PathBuf },
    #[error("no image {name}; `isobench image ls` lists them")]
    NoSuchImage { name: ImageName },
    #[error("{name} is in use by a running container; end the container first")]
    InUse { name: ImageName },
    #[error("the image {name} is damaged: {what}; import it again")]
    Damaged { name: ImageName, what: String },
    #[error("{name} names no program to run; give one after `--`")]
    NoProgram { name: ImageName },
    #[error("there is no program {program:?} in {name}{}", .path.as_ref().map_or_else(String::new, |path| format!(" (its PATH is {path})")))]
    ProgramMissing {
        name: ImageName,
        program: String,
        path: Option<String>,
    },
    #[error("{program:?} in {name} is {what}")]
    NotAProgram {
        name: ImageName,
        program: String,
        what: &'static str,
    },
    #[error("{name} wants to start in {directory:?}, which is {why}")]
    WorkingDirectory {
        name: ImageName,
        directory: String,
        why: &'static str,
    },
    #[error("{name} wants to run as {user:?}, {why}")]
    User {
        name: ImageName,
        user: String,
        why: &'static str,
    },
}

impl ImageError {
    /// For `map_err`: an error at the file or directory `path` of the store.
    pub fn store(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Store {
            path: path.to_owned(),
            source,
        }
    }
}
