//! An image as its maker wrote it: its files, what its manifests say, and decompressing its layers.

pub mod compression;
pub mod files;
pub mod manifest;
