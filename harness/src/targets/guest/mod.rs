//! What targets with a Linux guest share: the guest's kernel and files, and whether this host can
//! boot a guest.

pub(super) mod availability;
pub mod files;
pub mod kernel;
pub(super) mod launcher;
pub mod memory;
