//! The virtual devices of both guests: what a guest has in place of the host's files.
//!
//! The bare guest's devices are a console and a disk ([`console`], [`disk`]), behind system calls.
//! A guest with a kernel has a serial port ([`serial`]), ports for its program's streams
//! ([`program_input`], [`program_output`]) and virtio devices ([`virtio`]). All but the program's input
//! move data straight between a host descriptor and guest memory ([`host_io`]), without a copy in the
//! VMM.

pub mod console;
pub mod disk;
pub mod disk_ring;
pub mod host_io;
pub mod program_input;
pub mod program_output;
pub mod serial;
pub mod virtio;
