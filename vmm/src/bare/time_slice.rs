#![expect(
    unsafe_code,
    reason = "installs a signal handler, which reads what the signal is about"
)]
//! Time slices: a program with several threads is interrupted now and then, so that a thread that
//! computes without a pause lets the others run.
//!
//! A timer of the vCPU's own processor time sends the vCPU's thread a signal, at which `KVM_RUN`
//! comes back. The timer exists from the program's second thread on, and stands still while the vCPU
//! sleeps. If the signal comes just before `KVM_RUN`, the slice lasts until the next one.
//!
//! The same signal makes a vCPU come out for another vCPU's sake, and ends no slice then.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{self, c_int, c_long, c_void, siginfo_t};
use nix::sys::signal::sigaction;
use nix::sys::signal::{SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::gettid;

/// The host system calls that start the timer, for the seccomp filter.
pub(super) const TIME_SLICE_CALLS: [c_long; 5] = [
    libc::SYS_gettid,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_timer_create,
    libc::SYS_timer_settime,
];

/// The signal of the timer. No signal of the host's reaches the program.
pub(super) const SIGNAL: Signal = Signal::SIGVTALRM;
/// The processor time of a slice. Linux gives a thread some milliseconds, too.
const SLICE: Duration = Duration::from_millis(4);

thread_local! {
    /// Whether a slice of this thread's vCPU has ended. It lies in the thread's memory from the
    /// start, so a handler may use it at any moment.
    static IS_OVER: AtomicBool = const { AtomicBool::new(false) };
}

extern "C" fn note(_: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel gives a handler with SA_SIGINFO the address of the signal's description.
    let code = unsafe { (*info).si_code };
    if code == libc::SI_TIMER {
        IS_OVER.with(|is_over| is_over.store(true, Ordering::Relaxed));
    }
}

/// Lets the signal reach the calling thread, and do no more than interrupt it.
///
/// # Errors
/// The host refuses.
pub(super) fn catch_signal() -> Result<(), Errno> {
    let handler = SigHandler::SigAction(note);
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler only stores to an atomic, which is allowed at any moment.
    unsafe { sigaction(SIGNAL, &action)? };
    let mut unblocked = SigSet::empty();
    unblocked.add(SIGNAL);
    unblocked.thread_unblock()
}

/// The timer.
#[derive(Debug)]
pub(super) struct TimeSlices {
    _timer: Timer,
}

// SAFETY: a timer's number is the process's, and any thread may delete the timer by it.
unsafe impl Send for TimeSlices {}

impl TimeSlices {
    /// Starts the timer for the calling thread.
    ///
    /// # Errors
    /// The host has no more timers.
    pub(super) fn start() -> Result<Self, Errno> {
        catch_signal()?;
        let event = SigEvent::new(SigevNotify::SigevThreadId {
            signal: SIGNAL,
            thread_id: gettid().as_raw(),
            si_value: 0,
        });
        let mut timer = Timer::new(ClockId::CLOCK_THREAD_CPUTIME_ID, event)?;
        timer.set(
            Expiration::Interval(SLICE.into()),
            TimerSetTimeFlags::empty(),
        )?;
        Ok(Self { _timer: timer })
    }

    /// Whether a slice of the calling thread has ended since the last answer.
    pub(super) fn is_over() -> bool {
        IS_OVER.with(|is_over| {
            is_over.load(Ordering::Relaxed) && is_over.swap(false, Ordering::Relaxed)
        })
    }
}
