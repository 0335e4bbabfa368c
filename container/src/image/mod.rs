//! Images: importing what other tools made, keeping it, and running programs of it.
//!
//! An import, in order:
//!
//! ```text
//! source   open the directory or archive; find the configuration and the layers, and check the
//!          digest of everything that is read; decompress each layer
//! archive  read the members of a layer, one by one
//! layer    interpret each member, and make it below one directory, so that nothing outside of the
//!          directory can be named
//! view     look at the stacked layers as overlayfs will show them
//! store    put everything in its place, or nothing
//! ```
//!
//! `program` finds the program of an image that a container is to run.
//!
//! Nothing in an image is trusted: names, links, sizes and counts may be hostile, and no file need
//! ever end.

mod archive;
mod digest;
mod error;
mod import;
mod layer;
mod name;
mod program;
mod source;
mod store;
mod view;

#[cfg(test)]
mod model_tests;

pub use archive::fault::ArchiveFault;
pub use archive::pax::PaxFault;
pub use digest::{Digest, DigestSyntaxError};
pub use error::ImageError;
pub use import::{Imported, import, import_for_containers};
pub use layer::fault::LayerFault;
pub use layer::meter::TooMuch;
pub use layer::path::PathFault;
pub use name::{ImageName, NameSyntaxError};
pub use program::command::{Program, program};
pub use store::directory::{HeldLayers, Store, StoreWriter};
pub use store::record::Image;
pub use view::merged::{Entry, EntryKind, MergedError, merged};
