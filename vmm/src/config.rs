//! What a microVM is made from, checked.

use bytesize::ByteSize;

use crate::bare::program::Program;
use crate::bare::stack::Start;

/// Guest RAM unless told otherwise.
pub const DEFAULT_MEMORY: ByteSize = ByteSize::mib(128);

/// A microVM to be.
#[derive(Debug)]
pub struct Config {
    /// Guest RAM.
    pub memory: ByteSize,
    /// What it runs.
    pub program: Program,
    /// What the program is told at its start.
    pub start: Start,
}
