//! Starts one program in the way that `posix_spawn(3)` does: a child that shares the parent's memory until
//! it execs, so that the cost of a start doesn't grow with the size of the harness.
//!
//! What `std::process::Command` can't do without falling back to `fork`: the child asks to die with the
//! harness (`PR_SET_PDEATHSIG`), and it gets exactly the descriptors it is meant to have.
#![expect(
    unsafe_code,
    reason = "clone(2) with a shared address space and execve(2)"
)]

mod error;

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sched::{CloneFlags, clone};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, kill, pthread_sigmask, signal};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use crate::host::clock::MonotonicTime;
use crate::instance::command_line::{CommandLine, INPUT_DESCRIPTOR};

use crate::host::mounts::MountNamespace;
pub use error::SpawnError;

/// Stack of the child between clone and exec: some system calls deep, no more.
const CHILD_STACK: usize = 64 * 1024;

/// Which process group the child belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessGroup {
    /// One of its own: the terminal's Ctrl-C reaches the harness alone, which ends its instances in order.
    Own,
    /// The harness's, so that the program can read from the terminal.
    Inherited,
}

/// What the child finds at descriptors 0, 1, 2 and, for marks, 3; all but these and an input are closed at exec.
#[derive(Debug)]
pub struct Descriptors {
    /// Descriptor 0.
    pub stdin: OwnedFd,
    /// Descriptor 1.
    pub stdout: OwnedFd,
    /// Descriptor 2.
    pub stderr: OwnedFd,
    /// Descriptor 3, if any.
    pub marks: Option<OwnedFd>,
}

/// A started child that nobody has waited for yet.
#[derive(Debug)]
pub struct Child {
    /// Its process id.
    pub pid: Pid,
    /// Readable once it has ended (`pidfd_open(2)`).
    pub pidfd: OwnedFd,
    /// The clock just before the clone.
    pub spawned_at: MonotonicTime,
}

/// What the child needs beside its command line, opened before the clock starts.
struct Surroundings {
    descriptors: Descriptors,
    input: Option<OwnedFd>,
    mounts: Option<MountNamespace>,
}

/// The command line in the form that execve(2) takes.
struct ExecImage {
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl ExecImage {
    fn new(command: &CommandLine) -> Result<Self, SpawnError> {
        let program = c_string(command.program.as_os_str())?;
        let mut arguments = vec![program.clone()];
        for argument in &command.arguments {
            arguments.push(c_string(argument)?);
        }
        let environment = command.environment.iter().map(|v| c_string(v));
        Ok(Self {
            program,
            arguments,
            environment: environment.collect::<Result<_, _>>()?,
        })
    }
}

fn c_string(text: &OsStr) -> Result<CString, SpawnError> {
    CString::new(text.as_bytes()).map_err(|e| SpawnError::Nul(OsString::from_vec(e.into_vec())))
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    let mut all: Vec<_> = strings.iter().map(|s| s.as_ptr()).collect();
    all.push(std::ptr::null());
    all
}

/// Starts `command` and returns once it has been exec'd.
///
/// The calling thread must outlive the child: `PR_SET_PDEATHSIG` fires when the thread that cloned ends (prctl(2)).
///
/// # Errors
/// [`SpawnError`]; a failed exec leaves no process behind.
pub fn spawn(
    command: &CommandLine,
    descriptors: Descriptors,
    group: ProcessGroup,
) -> Result<Child, SpawnError> {
    spawn_late(command, descriptors, group, Duration::ZERO)
}

/// As [`spawn`], but lets `delay` pass between the reading of the clock and the clone: a cost of a known size, to see
/// whether the figures show it.
///
/// # Errors
/// As [`spawn`].
pub fn spawn_late(
    command: &CommandLine,
    descriptors: Descriptors,
    group: ProcessGroup,
    delay: Duration,
) -> Result<Child, SpawnError> {
    let image = ExecImage::new(command)?;
    let surroundings = Surroundings::new(command, descriptors)?;
    let clone_error = |source| SpawnError::Clone {
        program: command.program.clone(),
        source,
    };
    let [arguments, environment] = [&image.arguments, &image.environment].map(|s| pointers(s));
    let mut stack = vec![0_u8; CHILD_STACK];
    let mut exec_error = 0_i32;
    let harness = Pid::this();

    let mut old_mask = SigSet::empty();
    pthread_sigmask(
        SigmaskHow::SIG_SETMASK,
        Some(&SigSet::all()),
        Some(&mut old_mask),
    )
    .map_err(clone_error)?;
    let child_mask = child_mask(command, old_mask);
    let child = Box::new(|| {
        exec_error = become_program(
            &image.program,
            &arguments,
            &environment,
            &surroundings,
            group,
            harness,
            &child_mask,
        ) as i32;
        127
    });
    let spawned_at = MonotonicTime::now();
    spawned_at.busy_wait(delay);
    // SAFETY: CLONE_VFORK suspends this thread until the child has exec'd or exited, so the stack, the
    // closure and all that it borrows outlive the child's use of them, and no other code of this thread runs
    // meanwhile. The child only makes system calls: it neither allocates nor takes a lock that another
    // thread might hold. All signals are blocked, so no handler runs in the shared memory.
    let cloned = unsafe {
        clone(
            child,
            &mut stack,
            CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK,
            Some(libc::SIGCHLD),
        )
    };
    let restored = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&old_mask), None);
    let pid = cloned.map_err(clone_error)?;
    if exec_error != 0 {
        reap(pid);
        return Err(SpawnError::Exec {
            program: command.program.clone(),
            source: Errno::from_raw(exec_error),
        });
    }
    let pidfd = restored.and_then(|()| open_pidfd(pid)).map_err(|source| {
        // A child that nobody can watch must not run on.
        let _ = kill(pid, Signal::SIGKILL);
        reap(pid);
        clone_error(source)
    })?;
    Ok(Child {
        pid,
        pidfd,
        spawned_at,
    })
}

fn child_mask(command: &CommandLine, mut mask: SigSet) -> SigSet {
    if command.holds_sigchld {
        mask.add(Signal::SIGCHLD);
    }
    mask
}

fn reap(pid: Pid) {
    while nix::sys::wait::waitpid(pid, None) == Err(Errno::EINTR) {}
}

impl Surroundings {
    /// Moves the descriptors above those that the child fills, so that no `dup2` closes one still needed.
    fn new(command: &CommandLine, descriptors: Descriptors) -> Result<Self, SpawnError> {
        let failed = |what, source| SpawnError::Descriptor {
            what,
            program: command.program.clone(),
            source,
        };
        let lift = |fd: OwnedFd| {
            let number = fcntl(fd.as_fd(), FcntlArg::F_DUPFD_CLOEXEC(INPUT_DESCRIPTOR + 1))
                .map_err(|errno| failed("descriptor", errno))?;
            // SAFETY: F_DUPFD_CLOEXEC has just returned this number, and nothing else knows it.
            Ok::<_, SpawnError>(unsafe { OwnedFd::from_raw_fd(number) })
        };
        let open = |path: &PathBuf| {
            let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
            nix::fcntl::open(path, flags, Mode::empty()).map_err(|errno| failed("input", errno))
        };
        let input = command.input.as_ref().map(open).transpose()?;
        Ok(Self {
            descriptors: Descriptors {
                stdin: lift(descriptors.stdin)?,
                stdout: lift(descriptors.stdout)?,
                stderr: lift(descriptors.stderr)?,
                marks: descriptors.marks.map(lift).transpose()?,
            },
            input: input.map(lift).transpose()?,
            mounts: command.mounts.clone(),
        })
    }
}

/// The child's side: returns only if something failed, with the reason.
fn become_program(
    program: &CString,
    arguments: &[*const libc::c_char],
    environment: &[*const libc::c_char],
    surroundings: &Surroundings,
    group: ProcessGroup,
    harness: Pid,
    mask: &SigSet,
) -> Errno {
    match prepare_child(surroundings, group, harness, mask) {
        Ok(()) => {
            // SAFETY: both arrays end in a null pointer, and their strings live in the suspended parent.
            unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
            Errno::last()
        }
        Err(errno) => errno,
    }
}

fn prepare_child(
    surroundings: &Surroundings,
    group: ProcessGroup,
    harness: Pid,
    mask: &SigSet,
) -> nix::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    if Pid::parent() != harness {
        return Err(Errno::ESRCH);
    }
    if group == ProcessGroup::Own {
        nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    }
    if let Some(mounts) = &surroundings.mounts {
        mounts.enter()?;
    }
    let descriptors = &surroundings.descriptors;
    let wanted = [
        Some(&descriptors.stdin),
        Some(&descriptors.stdout),
        Some(&descriptors.stderr),
        descriptors.marks.as_ref(),
        surroundings.input.as_ref(),
    ];
    close_at_exec()?;
    for (number, descriptor) in (0..).zip(wanted) {
        if let Some(descriptor) = descriptor {
            // SAFETY: dup2 in the child's own descriptor table; the numbers 0 to 4 belong to nobody there.
            let result = unsafe { libc::dup2(descriptor.as_raw_fd(), number) };
            Errno::result(result)?;
        }
    }
    // SAFETY: the default disposition is no handler. Rust's runtime ignores SIGPIPE, which exec would pass on.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }?;
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(mask), None)
}

/// Has exec close all descriptors that the child isn't given after this: also what the harness itself inherited
/// without the close-on-exec flag, cargo's job server, say.
fn close_at_exec() -> nix::Result<()> {
    // SAFETY: close_range(2) takes three integers; with this flag it closes nothing before exec.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            0,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    Errno::result(result).map(drop)
}

fn open_pidfd(pid: Pid) -> nix::Result<OwnedFd> {
    // SAFETY: pidfd_open(2) takes two integers, and returns a new descriptor or -1.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    let number = Errno::result(result)?;
    let number = RawFd::try_from(number).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just returned this descriptor, and nothing else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests;
