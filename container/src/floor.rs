//! The floor: what the kernel alone takes to start a program in seven new namespaces.
//!
//! One `clone3` with the container's flags, `execve`, and a wait: no mounts, no id maps, no limits, no filter. It is
//! what a container's start is compared with, through the same kind of launcher.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt as _;

use nix::errno::Errno;

use crate::isolation::namespaces;
use crate::launch::handshake::ProgramEnd;
use crate::sys::process::{self, Cloned, ExecList};
use crate::{Mechanisms, Phase};

/// Exit code of the child when the program can't be executed, as a shell has it.
const NOT_EXECUTED: i32 = 127;

/// Why the floor couldn't be run.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is")]
pub enum FloorError {
    #[error("an argument has a zero byte in it")]
    ZeroByte(#[from] std::ffi::NulError),
    #[error("cannot make a process in new namespaces")]
    Clone { source: Errno },
    #[error("cannot wait for the program")]
    Wait { source: Errno },
}

/// Runs `command`, a program's path and its arguments, in new namespaces; how it ended.
///
/// # Errors
/// The namespaces are refused. A program that can't be executed ends with code 127.
pub fn run<S: AsRef<OsStr>>(
    command: &[S],
    on_phase: &dyn Fn(Phase),
) -> Result<ProgramEnd, FloorError> {
    let strings = command
        .iter()
        .map(|text| CString::new(text.as_ref().as_bytes()));
    let strings: Vec<CString> = strings.collect::<Result<_, _>>()?;
    let program = strings.first().cloned().unwrap_or_default();
    let (arguments, environment) = (ExecList::new(strings), ExecList::new(Vec::new()));
    match process::clone_into(namespaces::flags(Mechanisms::ALL), None) {
        Ok(Cloned::Child) => {
            on_phase(Phase::Clone);
            let _ = process::execute(&program, &arguments, &environment);
            process::exit(NOT_EXECUTED)
        }
        Ok(Cloned::Parent(pid)) => {
            let status = process::wait_for(pid).map_err(|source| FloorError::Wait { source })?;
            Ok(ProgramEnd::from_wait_status(status).unwrap_or(ProgramEnd::Signaled(9)))
        }
        Err(source) => Err(FloorError::Clone { source }),
    }
}
