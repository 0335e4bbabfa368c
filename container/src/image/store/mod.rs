//! The directory in which imported images are kept.

pub mod directory;
pub mod disk;
pub mod record;
pub mod remove;
