//! What a bare guest is made from, checked.

use bytesize::ByteSize;

use super::program::Program;
use super::stack::Start;

/// The size of guest RAM if the user names none.
pub const DEFAULT_MEMORY: ByteSize = ByteSize::mib(128);

/// A bare guest's microVM, before it exists.
#[derive(Debug)]
pub struct Config {
    /// The size of guest RAM.
    pub memory: ByteSize,
    /// The program that the guest runs.
    pub program: Program,
    /// The program's arguments, environment and features.
    pub start: Start,
}
