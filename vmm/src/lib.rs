//! KVM microVMs: one with no guest OS ([`bare`], the ladder's rung 2) and one with Linux
//! ([`linux`], rung 4).
//!
//! The modules lie in layers, and each knows only those before it:
//!
//! 1. [`kvm`] wraps KVM; [`memory`] holds guest memory; [`confine`] makes seccomp filters.
//! 2. [`devices`] serves the disks, consoles and networks of all guests.
//! 3. [`bare`] and [`linux`] are the two guests. Neither knows the other. The documentation of each
//!    lists the steps of its start.
//! 4. [`probe`] runs a VM of the bare guest's kind to find out whether a Linux guest can run.

pub mod bare;
pub mod confine;
pub mod devices;
pub mod kvm;
pub mod linux;
pub mod memory;
pub mod probe;
