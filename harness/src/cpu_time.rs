//! The processor time of the harness itself (`clock_gettime(2)`).

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Of all its threads so far; instances are processes of their own.
///
/// # Panics
/// Never on Linux: `CLOCK_PROCESS_CPUTIME_ID` always exists.
pub fn of_process() -> Duration {
    let clock = ClockId::CLOCK_PROCESS_CPUTIME_ID;
    clock_gettime(clock)
        .expect("CLOCK_PROCESS_CPUTIME_ID always exists")
        .into()
}

/// Of the calling thread so far.
///
/// # Panics
/// Never on Linux: `CLOCK_THREAD_CPUTIME_ID` always exists.
pub fn of_thread() -> Duration {
    let clock = ClockId::CLOCK_THREAD_CPUTIME_ID;
    clock_gettime(clock)
        .expect("CLOCK_THREAD_CPUTIME_ID always exists")
        .into()
}
