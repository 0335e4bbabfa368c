//! Unpacking one layer: from the members of an archive to a tree that overlayfs can stack.
//!
//! - [`path`] makes a name safe, [`steps`] takes one apart that leads through links, [`change`] says
//!   what a member does;
//! - [`tree`] is the directory that is written to, [`attributes`] and [`extended`] are what files
//!   and directories in it have;
//! - [`meter`] limits how much is written;
//! - [`unpack`] does all of it.

pub mod attributes;
pub mod change;
pub mod extended;
pub mod fault;
pub mod meter;
pub mod path;
pub mod steps;
pub mod tree;
pub mod unpack;
