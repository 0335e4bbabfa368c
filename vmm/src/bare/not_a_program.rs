//! Why a file is no program for the bare guest.

use std::io;

/// Why a file is not a program for this guest.
#[derive(Debug, thiserror::Error)]
pub enum NotAProgram {
    /// The file cannot be read.
    #[error("cannot be read")]
    Read(#[source] io::Error),
    /// The path leads to a directory, a pipe or a device.
    #[error("is not a regular file")]
    NotAFile,
    /// The file is no ELF file, or its header is cut off.
    #[error("is not an ELF program")]
    NotElf,
    /// The program is for another processor.
    #[error("is built for another processor: a 64-bit x86-64 program is needed")]
    OtherMachine,
    /// The file is a library, an object file or a core dump.
    #[error("is an ELF file but not a program (ELF type {0})")]
    NotExecutable(u16),
    /// The program needs a dynamic linker.
    #[error(
        "is dynamically linked: build it static (Rust: `-C target-feature=+crt-static`, C: `-static`)"
    )]
    Dynamic,
    /// The headers promise more than the file holds.
    #[error("is truncated: {what} ends past the end of the file")]
    Truncated {
        /// The part that is cut off.
        what: &'static str,
    },
    /// The headers contradict each other.
    #[error("is not a valid program: {0}")]
    Malformed(&'static str),
}
