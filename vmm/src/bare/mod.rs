//! The guest without an operating system: one Linux program in ring 3 and a trampoline in ring 0.

pub mod address_space;
pub mod exception;
mod frames;
pub mod loader;
mod page_tables;
pub mod program;
pub mod stack;
pub mod syscalls;
pub(crate) mod trampoline;
