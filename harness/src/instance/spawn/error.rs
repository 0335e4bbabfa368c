//! Why a program could not be started.

use std::ffi::OsString;
use std::path::PathBuf;

use nix::errno::Errno;

/// A program could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// An argument or variable holds a NUL byte, which no exec can pass on.
    #[error("{0:?} holds a NUL byte, which can't be passed to a program")]
    Nul(OsString),
    /// A descriptor could not be made.
    #[error("cannot make a {what} for {}", program.display())]
    Descriptor {
        /// What was to be made.
        what: &'static str,
        /// The program to be started.
        program: PathBuf,
        /// Why not.
        source: Errno,
    },
    /// clone(2) failed.
    #[error("cannot clone a process for {}", program.display())]
    Clone {
        /// The program to be started.
        program: PathBuf,
        /// Why not.
        source: Errno,
    },
    /// execve(2) failed.
    #[error("cannot execute {}", program.display())]
    Exec {
        /// The program to be started.
        program: PathBuf,
        /// Why not.
        source: Errno,
    },
}
