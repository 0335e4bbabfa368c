//! What targets with a Linux guest share: its kernel, its files, and whether this host can boot one.

pub(super) mod availability;
pub mod files;
pub mod kernel;
