//! The floor: what the kernel alone takes to start a program in seven new namespaces.
//!
//! The floor is one `clone3` with a container's flags, `execve`, and a wait. There are no mounts,
//! no id maps, no limits and no filter. A container's start is compared with the floor, which is
//! started by the same kind of launcher.

#![expect(unsafe_code, reason = "makes a process, in which little is allowed")]

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt as _;

use nix::errno::Errno;

use crate::isolation::namespaces;
use crate::launch::{Phase, PhaseObserver, ProgramEnd};
use crate::mechanism::Mechanisms;
use crate::sys::process::{self, Cloned, ExecList};

/// The exit code of a child that cannot execute its program. Shells use the same.
const NOT_EXECUTED: i32 = 127;

/// Why the floor could not be run.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what the variant is")]
pub enum FloorError {
    #[error("an argument has a zero byte in it")]
    ZeroByte(#[from] std::ffi::NulError),
    #[error("cannot make a process in new namespaces")]
    Clone { source: Errno },
    #[error("cannot wait for the program")]
    Wait { source: Errno },
}

/// Runs `command`, a program's path and its arguments, in new namespaces, and tells how the program
/// ended. A program that cannot be executed ends with code 127.
///
/// # Errors
/// The kernel refuses the namespaces.
pub fn run<S: AsRef<OsStr>>(
    command: &[S],
    observer: &dyn PhaseObserver,
) -> Result<ProgramEnd, FloorError> {
    let strings = command
        .iter()
        .map(|text| CString::new(text.as_ref().as_bytes()));
    let strings: Vec<CString> = strings.collect::<Result<_, _>>()?;
    let program = strings.first().cloned().unwrap_or_default();
    let (arguments, environment) = (ExecList::new(&strings), ExecList::new(&[]));
    // SAFETY: the child calls the observer, which promises to be harmless in such a process,
    // executes the program, and ends.
    match unsafe { process::clone_into(namespaces::flags(Mechanisms::ALL), None) } {
        Ok(Cloned::Child) => {
            observer.phase_ended(Phase::Clone);
            let _ = process::execute(&program, &arguments, &environment);
            process::exit(NOT_EXECUTED)
        }
        Ok(Cloned::Parent(pid)) => {
            let status = process::wait_for(pid).map_err(|source| FloorError::Wait { source })?;
            Ok(ProgramEnd::from_wait_status(status).unwrap_or(ProgramEnd::KILLED))
        }
        Err(source) => Err(FloorError::Clone { source }),
    }
}
