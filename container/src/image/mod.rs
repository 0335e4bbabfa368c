//! Images: importing what other tools made, keeping it, and running programs of it.
//!
//! An import, in order:
//!
//! ```text
//! source       open the directory or the archive
//! manifest     find the configuration and the layers; check the digests of all that is read
//! compression  each layer in plain
//! members      its members, one by one
//! path, change what a member says, and a path for it that leads nowhere else
//! unpack, tree made below one directory, so that nothing outside of it can be named
//! store        all of it in its place, or nothing
//! ```
//!
//! Nothing of an image is trusted: not its names, links, sizes and counts, nor that it ends.

mod attributes;
mod change;
mod compression;
mod digest;
mod error;
mod extended;
mod implied;
mod import;
mod manifest;
mod members;
mod merged;
mod meter;
mod name;
mod path;
mod pax;
mod record;
mod remove;
mod run;
mod source;
mod store;
mod tree;
mod unpack;
mod user;
mod view;

#[cfg(test)]
mod model_tests;

pub use digest::Digest;
pub use error::{ImageError, LayerFault};
pub use import::{Imported, import};
pub use members::ArchiveFault;
pub use merged::{Entry, EntryKind, MergedError, merged};
pub use meter::TooMuch;
pub use name::ImageName;
pub use path::PathFault;
pub use pax::PaxFault;
pub use record::Image;
pub use run::{Program, program};
pub use store::{Changing, HeldLayers, Store};
