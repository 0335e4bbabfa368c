#![expect(unsafe_code, reason = "installs a signal handler")]
//! Time slices: a program with several threads is interrupted now and then, so that a thread that
//! computes without a pause lets the others run.
//!
//! A timer of the VMM's own processor time sends the VMM's thread a signal, at which `KVM_RUN` comes
//! back. The timer exists from the program's second thread on, and stands still while the program
//! sleeps. If the signal comes just before `KVM_RUN`, the slice lasts until the next one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{self, c_int, c_long};
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
const SIGNAL: Signal = Signal::SIGVTALRM;
/// The processor time of a slice. Linux gives a thread some milliseconds, too.
const SLICE: Duration = Duration::from_millis(4);

static IS_OVER: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_: c_int) {
    IS_OVER.store(true, Ordering::Relaxed);
}

/// The timer.
#[derive(Debug)]
pub(super) struct TimeSlices {
    _timer: Timer,
}

impl TimeSlices {
    /// Starts the timer for the calling thread.
    ///
    /// # Errors
    /// The host has no more timers.
    pub(super) fn start() -> Result<Self, Errno> {
        let action = SigAction::new(SigHandler::Handler(note), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler only stores to an atomic, which is allowed at any moment.
        unsafe { sigaction(SIGNAL, &action)? };
        let mut unblocked = SigSet::empty();
        unblocked.add(SIGNAL);
        unblocked.thread_unblock()?;
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

    /// Whether a slice has ended since the last answer.
    pub(super) fn is_over() -> bool {
        IS_OVER.load(Ordering::Relaxed) && IS_OVER.swap(false, Ordering::Relaxed)
    }
}
