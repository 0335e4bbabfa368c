//! An image as its maker wrote it: its files, what its documents say, and decompressing its layers.
//!
//! - [`files`] finds the files, [`compression`] decompresses them, [`spool`] keeps an archive that
//!   can't be read in any order;
//! - [`manifest`] finds the image: in a [`layout`], or in what [`docker`] writes;
//! - [`documents`] are the JSON texts, [`platform`] says which of them are for this machine,
//!   [`choice`] which of many images is meant;
//! - [`resolved`] is the image that was found.

mod choice;
pub mod compression;
mod docker;
mod documents;
pub mod files;
mod layout;
pub mod manifest;
mod platform;
pub mod resolved;
mod spool;
