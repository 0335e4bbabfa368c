//! A KVM microVM with no guest OS: the ladder's rung 2.
//!
//! The VMM loads a static Linux program into a virtual machine, enters ring 3 in long mode and
//! serves every system call itself: each is a VM exit.

pub mod bare;
pub mod devices;
pub mod layout;
pub mod memory;
