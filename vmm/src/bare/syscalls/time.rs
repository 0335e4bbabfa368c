//! The calls on time: reading clocks and sleeping. The VMM reads the host's own clocks.

use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_getres, clock_gettime};

use super::guest;
use super::moment::End;
use super::threads::{Condition, Interrupted, Wait};
use super::{CallResult, Personality, SystemCall};
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

pub(super) fn serve(
    state: &mut Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<CallResult> {
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
        libc::SYS_nanosleep => state.sleep_for(memory, first, second),
        libc::SYS_clock_nanosleep => state.sleep_by_clock(call, memory),
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

/// Reads the `timespec` of a wait. Without one (address 0) the wait has no end.
pub(super) fn read_timeout(memory: &AddressSpace, address: u64) -> Result<Option<Duration>, Errno> {
    if address == 0 {
        return Ok(None);
    }
    read_time(memory, address).map(Some)
}

/// A duration from the fields of a `timespec`. The result is `None` if they hold none.
pub(super) fn duration(seconds: i64, nanoseconds: i64) -> Option<Duration> {
    let nanoseconds = u32::try_from(nanoseconds)
        .ok()
        .filter(|&part| part < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(seconds).ok()?, nanoseconds))
}

impl Personality {
    /// Sleeps for the duration at the address `time`. If a signal interrupts the sleep, the time
    /// that was left is written to the address `left`, unless that is 0.
    fn sleep_for(&mut self, memory: &AddressSpace, time: u64, left: u64) -> CallResult {
        let time = read_time(memory, time)?;
        if time.is_zero() {
            return Ok(0);
        }
        let interrupted = if left == 0 {
            Interrupted::Fails
        } else {
            Interrupted::FailsWithTimeLeft(left)
        };
        Err(self.threads.wait(Wait {
            condition: Condition::Nothing,
            end: End::after(time)?,
            interrupted,
            bytes_done: 0,
        }))
    }

    fn sleep_by_clock(&mut self, call: &SystemCall, memory: &AddressSpace) -> CallResult {
        let id = call.int(0);
        // A thread can't sleep by its own processor time, which stands still meanwhile.
        if !SLEEPING_CLOCKS.contains(&id) {
            return Err(Errno::EINVAL.into());
        }
        let [_, _, time, left, ..] = call.arguments;
        if call.int(1) & libc::TIMER_ABSTIME == 0 {
            return self.sleep_for(memory, time, left);
        }
        let clock = ClockId::from_raw(id);
        let at = read_time(memory, time)?;
        if (End { clock, at }).left().is_zero() {
            return Ok(0);
        }
        Err(self.threads.wait(Wait {
            condition: Condition::Nothing,
            end: Some(End { clock, at }),
            interrupted: Interrupted::Fails,
            bytes_done: 0,
        }))
    }
}
