//! The signals that isobench's caller had it ignore, where isobench itself sets them otherwise: a
//! program that isobench starts must find them as the caller left them, as after `nohup`.
#![expect(
    unsafe_code,
    reason = "Rust's runtime ignores SIGPIPE before any of its code could ask for the action"
)]

use std::ffi::c_int;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use isobench_container::ProgramSignals;
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use signal_hook::flag;

/// Whether the caller had these signals ignored.
static SIGPIPE_IGNORED: AtomicBool = AtomicBool::new(false);
static SIGCHLD_IGNORED: AtomicBool = AtomicBool::new(false);

/// The C library calls this function before `main`, and so before Rust's runtime (ELF gABI,
/// initialization functions).
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = look_before_main;

extern "C" fn look_before_main() {
    SIGPIPE_IGNORED.store(is_ignored(Signal::SIGPIPE), Ordering::Relaxed);
    SIGCHLD_IGNORED.store(is_ignored(Signal::SIGCHLD), Ordering::Relaxed);
}

/// Whether this process ignores `signal` now.
pub fn is_ignored(signal: Signal) -> bool {
    is_number_ignored(signal as c_int)
}

/// As [`is_ignored`]. The C library hides its own two signals, whose actions are never "ignore".
fn is_number_ignored(number: c_int) -> bool {
    // SAFETY: sigaction is plain data, for which zero is a valid value; the call only reads the
    // action, into a variable that lives through the call.
    let action = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(number, std::ptr::null(), &raw mut action);
        action
    };
    action.sa_sigaction == libc::SIG_IGN
}

/// Whether the caller had `SIGPIPE` ignored. In this process Rust's runtime ignores it.
pub fn sigpipe_was_ignored() -> bool {
    SIGPIPE_IGNORED.load(Ordering::Relaxed)
}

/// Whether the caller had `SIGCHLD` ignored. [`hear_of_children`] changes that.
pub fn sigchld_was_ignored() -> bool {
    SIGCHLD_IGNORED.load(Ordering::Relaxed)
}

/// Gives `SIGCHLD` its default action. While it is ignored, no child can be waited for (wait(2)).
///
/// # Errors
/// Never on Linux.
pub fn hear_of_children() -> nix::Result<()> {
    // SAFETY: the default action is no handler.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }.map(drop)
}

/// Has a write beyond the limit on the size of files fail (`EFBIG`, setrlimit(2)), which would end
/// this process otherwise. A program that isobench starts has the default action again: a handler
/// ends with execve(2).
///
/// # Errors
/// Never on Linux.
pub fn outlive_file_size_limit() -> io::Result<()> {
    if is_ignored(Signal::SIGXFSZ) {
        return Ok(());
    }
    flag::register(libc::SIGXFSZ, Arc::default()).map(drop)
}

/// All signals that the caller had ignored, as a set: bit N - 1 stands for signal N. isobench itself
/// must not have changed others than the two above.
pub fn ignored_at_start() -> u64 {
    let is_ignored = |number: c_int| match Signal::try_from(number) {
        Ok(Signal::SIGPIPE) => sigpipe_was_ignored(),
        Ok(Signal::SIGCHLD) => sigchld_was_ignored(),
        _ => is_number_ignored(number),
    };
    set_of(is_ignored)
}

/// The signals that this thread blocks, as a set: bit N - 1 stands for signal N.
///
/// # Errors
/// Never on Linux.
pub fn blocked() -> nix::Result<u64> {
    let mask = SigSet::thread_get_mask()?;
    // SAFETY: the set is initialised, and each number is a signal's.
    Ok(set_of(|number| unsafe {
        libc::sigismember(mask.as_ref(), number) == 1
    }))
}

fn set_of(is_member: impl Fn(c_int) -> bool) -> u64 {
    (0..64).fold(0, |set, bit| set | u64::from(is_member(bit + 1)) << bit)
}

/// What a launcher's program starts with of signals, `blocked` among them.
pub fn of_program(blocked: SigSet) -> ProgramSignals {
    ProgramSignals {
        blocked,
        ignores_sigpipe: sigpipe_was_ignored(),
        ignores_sigchld: sigchld_was_ignored(),
    }
}
