//! The guest without an operating system: one Linux program in ring 3 and a trampoline in ring 0.

pub mod address_space;
mod frames;
mod page_tables;
pub mod syscalls;
