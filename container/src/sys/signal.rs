//! Signals: defaults for the program, and waiting for one with its origin.

#![expect(unsafe_code, reason = "nix's sigwait hides who sent the signal")]

use std::ffi::c_int;
use std::mem;
use std::ptr;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};

use super::checked;

/// Who sent a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A process, by kill(2) and its like.
    Process,
    /// The kernel: a terminal's key, a child's end.
    Kernel,
}

/// Waits for a signal of `set`, which must be blocked. Signals that nix has no name for are left out.
pub fn wait(set: &SigSet) -> nix::Result<(Signal, Origin)> {
    loop {
        // SAFETY: siginfo_t is plain data, for which zero is a valid value.
        let mut information: libc::siginfo_t = unsafe { mem::zeroed() };
        // SAFETY: both structures are ours.
        let number = unsafe { libc::sigwaitinfo(set.as_ref(), &raw mut information) };
        if number == -1 {
            match Errno::last() {
                Errno::EINTR => continue,
                errno => return Err(errno),
            }
        }
        let origin = if information.si_code > 0 {
            Origin::Kernel
        } else {
            Origin::Process
        };
        if let Ok(signal) = Signal::try_from(number) {
            return Ok((signal, origin));
        }
    }
}

/// Highest signal number of the kernel (`_NSIG`).
const LAST_SIGNAL: c_int = 64;

/// The kernel's own `struct sigaction` of x86-64, all defaults.
#[repr(C)]
#[derive(Default)]
struct KernelSigaction {
    handler: usize,
    flags: usize,
    restorer: usize,
    mask: u64,
}

/// Gives every signal its default action, here and in what is started from here.
///
/// `execve` keeps what is ignored: by whoever started us, or `SIGPIPE` by Rust's runtime.
pub fn reset_actions() {
    for number in 1..=LAST_SIGNAL {
        // The two signals that can't be set fail harmlessly.
        let _ = reset_number(number);
    }
}

/// Gives `signal` its default action.
pub fn reset_action(signal: Signal) -> nix::Result<()> {
    reset_number(signal as c_int)
}

/// Raw, because glibc refuses the two signals that it keeps for itself.
fn reset_number(number: c_int) -> nix::Result<()> {
    let default = KernelSigaction::default();
    // SAFETY: the structure is the kernel's, and a default action runs no code of ours.
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
