#![expect(unsafe_code, reason = "forks and executes the guest's program")]
//! Loading kernel modules, and starting the program.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::fchown;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::sys::stat::Mode;
use nix::unistd::{
    ForkResult, Gid, Pid, Uid, chdir, dup2_stderr, dup2_stdin, dup2_stdout, execve, fork, pipe2,
    setgroups, setresgid, setresuid,
};

use super::{InitError, Orders, User};

/// The exit code for a program that does not exist. Shells use the same.
const NOT_FOUND: i32 = 127;
/// The exit code for a program that cannot be executed. Shells use the same.
const NOT_EXECUTABLE: i32 = 126;

/// The running program, and this process's ends of its streams.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) pid: Pid,
    /// Standard input, if the orders say that there is some.
    pub(super) input: Option<OwnedFd>,
    /// Standard output.
    pub(super) output: OwnedFd,
    /// Standard error.
    pub(super) error: OwnedFd,
}

/// Loads a kernel module. A module that is loaded already is no failure.
pub(super) fn load_module(path: &CString) -> Result<(), InitError> {
    let name = path.to_string_lossy().into_owned();
    let failed = |source| InitError::Module {
        name: name.clone(),
        source,
    };
    let file = File::open(&name).map_err(failed)?;
    match finit_module(&file, c"", ModuleInitFlags::empty()) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(error) => Err(failed(error.into())),
    }
}

/// Starts the program on pipes. If the orders say that there is no input, the program's standard
/// input is the null device.
pub(super) fn start(orders: &Orders) -> Result<Program, InitError> {
    let pipe = || pipe2(OFlag::O_CLOEXEC).map_err(|e| InitError::Setup("making a pipe", e));
    let (output, program_output) = pipe()?;
    let (error, program_error) = pipe()?;
    let (program_input, input) = if orders.input {
        let (read, write) = pipe()?;
        give(&read, &orders.user);
        (read, Some(write))
    } else {
        let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())
            .map_err(|e| InitError::Setup("opening /dev/null", e))?;
        (null, None)
    };
    give(&program_output, &orders.user);
    give(&program_error, &orders.user);
    // SAFETY: this process has one thread, so no lock is taken in the child's copy of it.
    match unsafe { fork() }.map_err(|e| InitError::Setup("forking", e))? {
        ForkResult::Parent { child } => Ok(Program {
            pid: child,
            input,
            output,
            error,
        }),
        ForkResult::Child => {
            let failure = become_program(orders, &program_input, &program_output, &program_error);
            let Err(reason) = failure;
            let program = orders.program.to_string_lossy();
            let line = format!("init: starting {program}: {reason}\n");
            // If standard error is gone too, the exit code alone tells of the failure.
            let _ = io::stderr().write_all(line.as_bytes());
            std::process::exit(if reason == Errno::ENOENT {
                NOT_FOUND
            } else {
                NOT_EXECUTABLE
            });
        }
    }
}

/// Executes the program in this process. Returns only if that fails.
fn become_program(
    orders: &Orders,
    input: &OwnedFd,
    output: &OwnedFd,
    error: &OwnedFd,
) -> Result<Infallible, Errno> {
    dup2_stderr(error)?;
    dup2_stdin(input)?;
    dup2_stdout(output)?;
    if let Some(directory) = &orders.directory {
        chdir(directory.as_c_str())?;
    }
    become_user(&orders.user)?;
    execve(&orders.program, &orders.arguments, &orders.environment)
}

/// Gives a pipe of the program to `user`, who may then open the pipe again, such as `/dev/stdout`.
fn give(stream: &OwnedFd, user: &User) {
    if *user != User::default() {
        // A program without this can still write to the stream that it has.
        let _ = fchown(stream, Some(user.uid), Some(user.gid));
    }
}

/// Becomes `user`. For root nothing is done: a kernel without `CONFIG_MULTIUSER` lacks the calls.
fn become_user(user: &User) -> Result<(), Errno> {
    if *user == User::default() {
        return Ok(());
    }
    let groups: Vec<_> = user.groups.iter().copied().map(Gid::from_raw).collect();
    setgroups(&groups)?;
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}
