//! Why a program could not be started.

use std::ffi::OsString;
use std::path::PathBuf;

use nix::errno::Errno;

use crate::instance::command_line::{HostUser, RootDirectory};

/// A program could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// An argument or variable holds a NUL byte, which execve(2) can't pass on.
    #[error("{0:?} holds a NUL byte, which can't be passed to a program")]
    Nul(OsString),
    /// A file or descriptor for the program could not be prepared.
    #[error("cannot prepare the {what} of {}", program.display())]
    Descriptor {
        /// What could not be prepared.
        what: &'static str,
        /// The program to be started.
        program: PathBuf,
        /// The kernel's reason.
        source: Errno,
    },
    /// clone(2) failed.
    #[error("cannot clone a process for {}", program.display())]
    Clone {
        /// The program to be started.
        program: PathBuf,
        /// The kernel's reason.
        source: Errno,
    },
    /// The program's root or working directory can't be entered.
    #[error(
        "cannot go to {} in the root directory {}",
        .root.working_directory.display(),
        .root.directory.display()
    )]
    Root {
        /// The root directory.
        root: RootDirectory,
        /// The kernel's reason.
        source: Errno,
    },
    /// The program's user or groups can't be taken on.
    #[error("cannot become the host's user {} and group {}; run isobench as root", user.uid, user.gid)]
    User {
        /// The user.
        user: HostUser,
        /// The kernel's reason.
        source: Errno,
    },
    /// execve(2) failed.
    #[error("cannot execute {}{}", program.display(), hint(*source))]
    Exec {
        /// The program to be started.
        program: PathBuf,
        /// The kernel's reason.
        source: Errno,
    },
}

/// What a failed execve(2) may mean beside what its error says.
fn hint(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOENT => " (or the interpreter that it asks for)",
        Errno::ENOEXEC => {
            " (it is no program for this machine, and a script needs a first line such as #!/bin/sh)"
        }
        _ => "",
    }
}
