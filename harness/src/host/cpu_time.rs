//! The processor time of the harness itself (`clock_gettime(2)`).

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The processor time of all threads of the harness so far. Instances are processes of their own,
/// so their time isn't included.
///
/// # Panics
/// Never on Linux: `CLOCK_PROCESS_CPUTIME_ID` always exists.
pub fn of_process() -> Duration {
    read(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

/// The processor time of the calling thread so far.
///
/// # Panics
/// Never on Linux: `CLOCK_THREAD_CPUTIME_ID` always exists.
pub fn of_thread() -> Duration {
    read(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

fn read(clock: ClockId) -> Duration {
    clock_gettime(clock)
        .expect("the clocks of a process's own time always exist")
        .into()
}
