//! The virtual devices of a microVM: what a guest has instead of the host's files.
//!
//! The bare guest's are a console and a disk ([`console`], [`block`]), behind system calls. A guest with a kernel has
//! ports and registers ([`bus`]). Both move data straight between a host descriptor and guest RAM ([`host_io`]), without a copy in the VMM.

pub mod block;
pub mod console;
pub mod disk_ring;
pub mod host_io;
pub mod program_io;
pub mod serial;
pub mod virtio;
