//! What can be wrong with an archive.

use std::io;

use super::pax::PaxFault;

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what the variant is")]
pub enum ArchiveFault {
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error("the archive is cut off")]
    CutOff,
    #[error("a header's checksum is wrong")]
    Checksum,
    #[error("a header's {field} is no number")]
    Number { field: &'static str },
    #[error("an extended header or a long name has more than 1 MiB")]
    ExtensionTooLong,
    #[error(transparent)]
    Pax(#[from] PaxFault),
    #[error(
        "{name:?} is a sparse file in GNU tar's old format; write the layer with `tar --format=posix` or without --sparse"
    )]
    Sparse { name: String },
    #[error("{name:?} is a sparse file, and the map of its content is malformed")]
    SparseMap { name: String },
    #[error("{name:?} is a sparse file in the unknown format {version}")]
    SparseVersion { name: String, version: String },
    #[error("{name:?} is of the unknown type {kind:?}")]
    Kind { name: String, kind: char },
}
