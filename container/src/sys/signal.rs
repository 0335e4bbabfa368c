//! Signals: default actions for the program, and waiting for a signal together with its sender.

#![expect(unsafe_code, reason = "nix's sigwait hides who sent the signal")]

use std::ffi::c_int;
use std::mem;
use std::ptr;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};

use super::checked;

/// Who sent a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// A process, by kill(2) or a call like it.
    Process,
    /// The kernel, for a key typed at the terminal or for the end of a child.
    Kernel,
}

/// Waits for a signal of `set`, all of which must be blocked. A signal that nix has no name for is
/// skipped.
pub fn wait(set: &SigSet) -> nix::Result<(Signal, Sender)> {
    loop {
        // SAFETY: siginfo_t is plain data, for which zero is a valid value.
        let mut information: libc::siginfo_t = unsafe { mem::zeroed() };
        // SAFETY: both structures live until the call returns.
        let number = unsafe { libc::sigwaitinfo(set.as_ref(), &raw mut information) };
        if number == -1 {
            match Errno::last() {
                Errno::EINTR => continue,
                errno => return Err(errno),
            }
        }
        let sender = if information.si_code > 0 {
            Sender::Kernel
        } else {
            Sender::Process
        };
        if let Ok(signal) = Signal::try_from(number) {
            return Ok((signal, sender));
        }
    }
}

/// The kernel's highest signal number (`_NSIG`).
const LAST_SIGNAL: c_int = 64;

/// The kernel's own `struct sigaction` of x86-64. All fields zero mean the default action.
#[repr(C)]
#[derive(Default)]
struct KernelSigaction {
    handler: usize,
    flags: usize,
    restorer: usize,
    mask: u64,
}

/// Gives every signal its default action, in this process and in programs that it executes.
///
/// `execve` keeps a signal ignored that is ignored: by whoever started the launcher, or, for
/// `SIGPIPE`, by Rust's runtime.
pub fn reset_actions() {
    for number in 1..=LAST_SIGNAL {
        // It fails for SIGKILL and SIGSTOP, whose actions nobody can change.
        let _ = reset_number(number);
    }
}

/// Gives `signal` its default action.
pub fn reset_action(signal: Signal) -> nix::Result<()> {
    reset_number(signal as c_int)
}

/// A raw system call, because glibc's function refuses the two signals that glibc itself uses.
fn reset_number(number: c_int) -> nix::Result<()> {
    let default = KernelSigaction::default();
    // SAFETY: the structure is laid out as the kernel's, and a default action runs no code of this
    // program.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            number,
            &raw const default,
            ptr::null_mut::<KernelSigaction>(),
            size_of::<u64>(),
        )
    };
    checked(result).map(drop)
}

/// Unblocks every signal on this thread.
pub fn unblock_all() -> nix::Result<()> {
    SigSet::empty().thread_set_mask()
}
