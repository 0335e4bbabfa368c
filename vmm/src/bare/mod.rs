//! The guest without an operating system: one Linux program in ring 3 and a trampoline in ring 0.

pub mod address_space;
mod areas;
pub mod exception;
mod frames;
pub mod loader;
mod mapping;
mod page_tables;
pub mod program;
pub(crate) mod registers;
pub mod stack;
pub mod syscalls;
pub(crate) mod trampoline;
mod user_memory;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod program_tests;
#[cfg(test)]
mod space_tests;
