//! Starts one program in the way that `posix_spawn(3)` does: the child shares the parent's memory
//! until execve(2), so that the cost of a start doesn't grow with the size of the harness.
//!
//! `std::process::Command` falls back to `fork` for two things that a start needs here. The child
//! asks the kernel to be killed when the harness ends (`PR_SET_PDEATHSIG`). And the child gets
//! exactly the descriptors that are meant for the program.
#![expect(
    unsafe_code,
    reason = "clone(2) with a shared address space and execve(2)"
)]

mod child;
mod error;
mod pipes;
#[cfg(test)]
mod tests;

use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sched::{CloneFlags, clone};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, pthread_sigmask};
use nix::unistd::Pid;

use crate::host::clock::MonotonicTime;
use crate::instance::command_line::CommandLine;

use child::{ChildFailure, ChildPlan, ChildStep, ExecStrings, InheritedFiles};
pub use error::SpawnError;

/// Size of the child's stack between clone and exec: enough for some nested system calls.
const CHILD_STACK: usize = 64 * 1024;

/// The process group that the child belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessGroup {
    /// A new group. The terminal's Ctrl-C then reaches the harness alone, which ends its instances
    /// in order.
    Own,
    /// The harness's group, so that the program can read from the terminal.
    Inherited,
}

/// The child's descriptors 0, 1, 2 and, for marks, 3. Exec closes all others but the command line's
/// input.
#[derive(Debug)]
pub struct Descriptors {
    /// Descriptor 0.
    pub stdin: OwnedFd,
    /// Descriptor 1.
    pub stdout: OwnedFd,
    /// Descriptor 2.
    pub stderr: OwnedFd,
    /// Descriptor 3, if the program writes marks.
    pub marks: Option<OwnedFd>,
}

/// A started child that nobody has waited for yet.
#[derive(Debug)]
pub struct Child {
    /// The child's process id.
    pub pid: Pid,
    /// A descriptor that becomes readable when the child ends (`pidfd_open(2)`).
    pub pidfd: OwnedFd,
    /// The clock's reading just before the clone.
    pub spawned_at: MonotonicTime,
}

/// Starts `command` and returns once the program has been exec'd.
///
/// The calling thread must outlive the child: `PR_SET_PDEATHSIG` fires when the thread that cloned
/// ends (prctl(2)).
///
/// # Errors
/// [`SpawnError`]. A failed exec leaves no process behind.
pub fn spawn(
    command: &CommandLine,
    descriptors: Descriptors,
    group: ProcessGroup,
) -> Result<Child, SpawnError> {
    spawn_with_delay(command, descriptors, group, Duration::ZERO)
}

/// As [`spawn`], with a busy wait of `delay` between the clock's reading and the clone. The delay
/// is a cost of known size: a run with a delay shows whether the figures reveal that cost.
///
/// # Errors
/// As [`spawn`].
pub fn spawn_with_delay(
    command: &CommandLine,
    descriptors: Descriptors,
    group: ProcessGroup,
    delay: Duration,
) -> Result<Child, SpawnError> {
    let clone_error = |source| SpawnError::Clone {
        program: command.program.clone(),
        source,
    };
    if let Some(user) = command.pipes_for.as_ref().or(command.user.as_ref()) {
        pipes::give(&descriptors, user);
    }
    let strings = ExecStrings::new(command)?;
    let files = InheritedFiles::new(command, descriptors)?;
    let mut stack = vec![0_u8; CHILD_STACK];
    let mut failure = None;

    let old_mask = block_all_signals().map_err(clone_error)?;
    let plan = ChildPlan {
        image: strings.image(),
        files,
        root: strings.root(),
        user: command.user.as_ref(),
        group,
        parent: Pid::this(),
        signal_mask: child_mask(command, old_mask),
        death_signal: command.death_signal,
    };
    let child = Box::new(|| {
        // SAFETY: `clone` below calls this closure once, in the child that it makes.
        failure = Some(unsafe { plan.run() });
        127
    });
    let spawned_at = MonotonicTime::now();
    spawned_at.busy_wait(delay);
    // SAFETY: CLONE_VFORK suspends this thread until the child has exec'd or exited. So the stack,
    // the closure and all that the closure borrows outlive the child's use of them, and this thread
    // runs no other code meanwhile. `ChildPlan::run` neither allocates nor takes a lock that
    // another thread might hold. All signals are blocked, so no handler runs in the shared memory.
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
    if let Some(failure) = failure {
        reap(pid);
        return Err(error_of_child(command, failure));
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

/// Blocks all signals of this thread, and returns the mask that was there before.
fn block_all_signals() -> nix::Result<SigSet> {
    let mut old_mask = SigSet::empty();
    pthread_sigmask(
        SigmaskHow::SIG_SETMASK,
        Some(&SigSet::all()),
        Some(&mut old_mask),
    )?;
    Ok(old_mask)
}

/// The signal mask that the program starts with.
fn child_mask(command: &CommandLine, own: SigSet) -> SigSet {
    let mut mask = command.signal_mask.unwrap_or(own);
    if command.blocks_sigchld {
        mask.add(Signal::SIGCHLD);
    }
    mask
}

/// The error for a child that could not become the program of `command`.
fn error_of_child(command: &CommandLine, failure: ChildFailure) -> SpawnError {
    let source = failure.errno;
    match (failure.step, &command.root, &command.user) {
        (ChildStep::Root, Some(root), _) => SpawnError::Root {
            root: root.clone(),
            source,
        },
        (ChildStep::User, _, Some(user)) => SpawnError::User {
            user: user.clone(),
            source,
        },
        _ => SpawnError::Exec {
            program: command.program.clone(),
            source,
        },
    }
}

fn reap(pid: Pid) {
    while nix::sys::wait::waitpid(pid, None) == Err(Errno::EINTR) {}
}

fn open_pidfd(pid: Pid) -> nix::Result<OwnedFd> {
    // SAFETY: pidfd_open(2) takes two integers, and returns a new descriptor or -1.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    let number = Errno::result(result)?;
    let number = RawFd::try_from(number).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just returned this descriptor, and nothing else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
