//! The virtual devices of a microVM: what a guest has instead of the host's files.
//!
//! Both move data straight between a host descriptor and guest RAM ([`host_io`]), without a copy in the VMM.

pub mod block;
pub mod console;
pub mod host_io;
