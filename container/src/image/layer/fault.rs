//! What can be wrong with a layer.

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

use super::meter::TooMuch;
use super::path::PathFault;
use crate::image::archive::fault::ArchiveFault;

/// What is wrong with a layer, or with the place that it is unpacked to.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what the variant is")]
pub enum LayerFault {
    #[error(transparent)]
    Archive(#[from] ArchiveFault),
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    #[error("cannot read the layer")]
    Read { source: io::Error },
    #[error("the name {name:?} {fault}")]
    Path { name: String, fault: PathFault },
    #[error("the hard link {name:?} leads to {target:?}, which {why}")]
    HardLink {
        name: String,
        target: String,
        why: &'static str,
    },
    #[error("{name:?} leads through {through:?}, which is no directory of this layer")]
    Through { name: PathBuf, through: PathBuf },
    #[error("{name:?} is a whiteout of nothing")]
    Whiteout { name: String },
    #[error("cannot hide {name:?} of the layers below")]
    Hide { name: PathBuf, source: Errno },
    #[error("cannot write {name:?}")]
    Write { name: PathBuf, source: Errno },
}
