//! Signals by number, so that real-time signals are among them: their actions, waiting for one
//! together with its sender, and sending one.

#![expect(
    unsafe_code,
    reason = "nix's sigwait hides who sent the signal, and nix has no name for real-time signals"
)]

use std::ffi::c_int;
use std::mem;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::sys::time::TimeSpec;
use nix::unistd::Pid;

use super::checked;

/// Who sent a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// A process, by kill(2) or a call like it.
    Process,
    /// The kernel, for a key typed at the terminal or for the end of a child.
    Kernel,
}

/// A signal that was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caught {
    /// The signal's number (signal(7)).
    pub number: c_int,
    /// Who sent the signal.
    pub sender: Sender,
}

impl Caught {
    /// Whether the signal is `signal`.
    pub fn is(self, signal: Signal) -> bool {
        self.number == signal as c_int
    }
}

/// Waits for a signal of `set`, all of which must be blocked: sigtimedwait(2). `None` when none has
/// come until `deadline`, if there is one.
pub fn wait(set: &SigSet, deadline: Option<Instant>) -> nix::Result<Option<Caught>> {
    loop {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let left = left.map(TimeSpec::from_duration);
        let timeout = left.as_ref().map_or(ptr::null(), |left| left.as_ref());
        // SAFETY: siginfo_t is plain data, for which zero is a valid value.
        let mut information: libc::siginfo_t = unsafe { mem::zeroed() };
        // SAFETY: all structures live until the call returns, and a null timeout means none.
        let number = unsafe { libc::sigtimedwait(set.as_ref(), &raw mut information, timeout) };
        if number == -1 {
            match Errno::last() {
                Errno::EINTR => continue,
                Errno::EAGAIN => return Ok(None),
                errno => return Err(errno),
            }
        }
        let sender = if information.si_code > 0 {
            Sender::Kernel
        } else {
            Sender::Process
        };
        return Ok(Some(Caught { number, sender }));
    }
}

/// Sends the signal `number` to the process `pid`: kill(2).
///
/// # Errors
/// There is no such process or signal, or the process may not be signalled.
pub fn send(pid: Pid, number: c_int) -> nix::Result<()> {
    // SAFETY: the call takes two integers.
    checked(unsafe { libc::kill(pid.as_raw(), number) }.into()).map(drop)
}

/// Has the kernel send `SIGIO` to this process whenever something can be read from `file`: fcntl(2),
/// `F_SETOWN` and `O_ASYNC`.
pub fn announce_input(file: BorrowedFd<'_>) -> nix::Result<()> {
    // SAFETY: the calls take integers.
    unsafe {
        let own = libc::fcntl(file.as_raw_fd(), libc::F_SETOWN, libc::getpid());
        checked(own.into())?;
        let set = libc::fcntl(file.as_raw_fd(), libc::F_SETFL, libc::O_ASYNC);
        checked(set.into()).map(drop)
    }
}

/// Stops this process by the signal `number`, which may be blocked, and returns when the process
/// goes on. In a process group that no shell looks after, only `SIGSTOP` stops a process
/// (setpgid(2), orphaned process groups).
///
/// # Errors
/// `number` is no signal that stops.
pub fn stop_this_process(number: c_int) -> nix::Result<()> {
    let signal = Signal::try_from(number)?;
    let mut mask_before = SigSet::empty();
    let mut one = SigSet::empty();
    one.add(signal);
    send(Pid::this(), number)?;
    // A blocked signal stops the process now.
    pthread_sigmask(SigmaskHow::SIG_UNBLOCK, Some(&one), Some(&mut mask_before))?;
    mask_before.thread_set_mask()
}

/// The kernel's own `struct sigaction` of x86-64. All fields zero mean the default action.
#[repr(C)]
#[derive(Default)]
struct KernelSigaction {
    handler: usize,
    flags: usize,
    restorer: usize,
    mask: u64,
}

/// Gives `signal` its default action, in this process and in programs that it executes.
pub fn reset_action(signal: Signal) -> nix::Result<()> {
    set_action(signal, libc::SIG_DFL)
}

/// Ignores `signal`, in this process and in programs that it executes.
pub fn ignore(signal: Signal) -> nix::Result<()> {
    set_action(signal, libc::SIG_IGN)
}

/// Sets an action that is no handler. The raw system call takes no lock, as glibc's function might.
fn set_action(signal: Signal, handler: libc::sighandler_t) -> nix::Result<()> {
    let action = KernelSigaction {
        handler,
        ..KernelSigaction::default()
    };
    // SAFETY: the structure is laid out as the kernel's, and neither action runs code of this
    // program.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal as c_int,
            &raw const action,
            ptr::null_mut::<KernelSigaction>(),
            size_of::<u64>(),
        )
    };
    checked(result).map(drop)
}
