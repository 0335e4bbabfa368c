//! The calls on time: reading clocks and sleeping. The VMM reads the host's own clocks.

use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_getres, clock_gettime};

use super::guest;
use super::{CallResult, SystemCall};
use crate::bare::address_space::AddressSpace;

/// The clocks that a program may read: `CLOCK_REALTIME` to `CLOCK_BOOTTIME`, and `CLOCK_TAI`.
///
/// The two clocks of processor time are those of the VMM's thread, on which both the guest and the
/// VMM run.
const CLOCKS: [c_int; 9] = [
    libc::CLOCK_REALTIME,
    libc::CLOCK_MONOTONIC,
    libc::CLOCK_PROCESS_CPUTIME_ID,
    libc::CLOCK_THREAD_CPUTIME_ID,
    libc::CLOCK_MONOTONIC_RAW,
    libc::CLOCK_REALTIME_COARSE,
    libc::CLOCK_MONOTONIC_COARSE,
    libc::CLOCK_BOOTTIME,
    libc::CLOCK_TAI,
];
/// The clocks by which a program may sleep.
const SLEEPING_CLOCKS: [c_int; 4] = [
    libc::CLOCK_REALTIME,
    libc::CLOCK_MONOTONIC,
    libc::CLOCK_BOOTTIME,
    libc::CLOCK_TAI,
];

pub(super) fn serve(call: &SystemCall, memory: &mut AddressSpace) -> Option<CallResult> {
    let [first, second, ..] = call.arguments;
    Some(match call.linux_number() {
        libc::SYS_clock_gettime => {
            clock(call.int(0)).and_then(|id| answer(memory, second, clock_gettime(id)?))
        }
        libc::SYS_clock_getres if second == 0 => clock(call.int(0)).map(|_| 0),
        libc::SYS_clock_getres => {
            clock(call.int(0)).and_then(|id| answer(memory, second, clock_getres(id)?))
        }
        libc::SYS_gettimeofday => time_of_day(memory, first, second),
        libc::SYS_time => seconds(memory, first),
        libc::SYS_nanosleep => read_time(memory, first).map_err(Into::into).map(sleep),
        libc::SYS_clock_nanosleep => sleep_by_clock(call, memory),
        _ => return None,
    })
}

fn clock(id: c_int) -> Result<ClockId, super::Failure> {
    if CLOCKS.contains(&id) {
        Ok(ClockId::from_raw(id))
    } else {
        Err(Errno::EINVAL.into())
    }
}

fn answer(memory: &mut AddressSpace, to: u64, time: TimeSpec) -> CallResult {
    guest::write_pair(memory, to, time.tv_sec(), time.tv_nsec())?;
    Ok(0)
}

fn time_of_day(memory: &mut AddressSpace, time: u64, zone: u64) -> CallResult {
    if time != 0 {
        let now = clock_gettime(ClockId::CLOCK_REALTIME)?;
        guest::write_pair(memory, time, now.tv_sec(), now.tv_nsec() / 1000)?;
    }
    if zone != 0 {
        guest::write(memory, zone, &[0; 8])?;
    }
    Ok(0)
}

fn seconds(memory: &mut AddressSpace, to: u64) -> CallResult {
    let now = clock_gettime(ClockId::CLOCK_REALTIME)?.tv_sec();
    if to != 0 {
        guest::write(memory, to, &now.to_le_bytes())?;
    }
    Ok(now.cast_unsigned())
}

/// Reads a `timespec` that must hold a duration.
pub(super) fn read_time(memory: &AddressSpace, address: u64) -> Result<Duration, Errno> {
    let (seconds, nanoseconds) = guest::read_pair(memory, address)?;
    duration(seconds, nanoseconds).ok_or(Errno::EINVAL)
}

/// A duration from the fields of a `timespec`. The result is `None` if they hold none.
pub(super) fn duration(seconds: i64, nanoseconds: i64) -> Option<Duration> {
    let nanoseconds = u32::try_from(nanoseconds)
        .ok()
        .filter(|&part| part < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(seconds).ok()?, nanoseconds))
}

/// Sleeps in the host's kernel for the whole time, since no signal handler of the guest's ever
/// runs.
fn sleep(time: Duration) -> u64 {
    thread::sleep(time);
    0
}

fn sleep_by_clock(call: &SystemCall, memory: &AddressSpace) -> CallResult {
    let id = call.int(0);
    // A thread can't sleep by its own processor time, which stands still meanwhile.
    if !SLEEPING_CLOCKS.contains(&id) {
        return Err(Errno::EINVAL.into());
    }
    let time = read_time(memory, call.arguments[2])?;
    if call.int(1) & libc::TIMER_ABSTIME == 0 {
        return Ok(sleep(time));
    }
    sleep_until(ClockId::from_raw(id), time)?;
    Ok(0)
}

/// Sleeps until a clock shows `end`, even if the clock is set meanwhile.
pub(super) fn sleep_until(clock: ClockId, end: Duration) -> Result<(), Errno> {
    loop {
        let now = Duration::from(clock_gettime(clock)?);
        match end.checked_sub(now) {
            Some(left) if !left.is_zero() => thread::sleep(left),
            _ => return Ok(()),
        }
    }
}
