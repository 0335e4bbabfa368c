//! The virtual devices of a microVM: what a guest has instead of the host's files.

pub mod block;
pub mod console;
