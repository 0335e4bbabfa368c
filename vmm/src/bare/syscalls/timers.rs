//! Timers that send signals: setitimer(2), alarm(2) and `timer_create(2)`.

use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{self, c_int, c_long};
use nix::time::ClockId;
use slab::Slab;

use super::alarm::Alarm;
use super::guest;
use super::own_files::{OwnFile, TimerFile};
use super::signal_queue::SignalInfo;
use super::threads::ThreadId;
use super::time;
use super::{CallResult, Failure, Personality, SystemCall};
use crate::bare::address_space::AddressSpace;

/// The most timers of a program.
const MOST_TIMERS: usize = 1024;
/// The clock and the signal of each interval timer, in the order of their numbers.
const INTERVAL_TIMERS: [(ClockId, c_int); 3] = [
    (ClockId::CLOCK_MONOTONIC, libc::SIGALRM),
    (ClockId::CLOCK_PROCESS_CPUTIME_ID, libc::SIGVTALRM),
    (ClockId::CLOCK_PROCESS_CPUTIME_ID, libc::SIGPROF),
];
/// The clocks that a timer may have.
const CLOCKS: [c_int; 8] = [
    libc::CLOCK_REALTIME,
    libc::CLOCK_MONOTONIC,
    libc::CLOCK_PROCESS_CPUTIME_ID,
    libc::CLOCK_THREAD_CPUTIME_ID,
    libc::CLOCK_BOOTTIME,
    libc::CLOCK_TAI,
    libc::CLOCK_REALTIME_ALARM,
    libc::CLOCK_BOOTTIME_ALARM,
];
/// `SIGEV_THREAD_ID` (`asm-generic/siginfo.h`).
const SIGEV_THREAD_ID: c_int = 4;

/// The signal of a timer of `timer_create`.
#[derive(Debug, Clone, Copy)]
struct Notice {
    signal: c_int,
    value: u64,
    to: Option<ThreadId>,
}

/// A timer of `timer_create`.
#[derive(Debug)]
struct Timer {
    clock: ClockId,
    alarm: Alarm,
    notice: Option<Notice>,
    /// The expirations that the last signal did not tell of.
    overrun: u64,
}

/// All timers that send signals.
#[derive(Debug, Default)]
pub(super) struct Timers {
    interval: [Alarm; 3],
    timers: Slab<Timer>,
}

impl Timers {
    /// Whether there is no timer, armed or not.
    pub fn is_empty(&self) -> bool {
        self.timers.is_empty() && !self.is_armed()
    }

    /// Whether a timer will expire.
    pub fn is_armed(&self) -> bool {
        self.left().is_some()
    }

    /// The time until the next expiration, if there is one.
    pub fn left(&self) -> Option<Duration> {
        let timers = self.timers.iter().map(|(_, timer)| timer.alarm);
        let alarms = self.interval.iter().copied().chain(timers);
        alarms.filter_map(|alarm| alarm.left()).min()
    }

    /// The signals of the timers that have expired, each with its thread.
    fn expire(&mut self) -> Vec<(Option<ThreadId>, SignalInfo)> {
        let mut signals = Vec::new();
        for (alarm, (_, signal)) in self.interval.iter_mut().zip(INTERVAL_TIMERS) {
            if alarm.expire() > 0 {
                signals.push((None, SignalInfo::from_kernel(signal)));
            }
        }
        for (id, timer) in &mut self.timers {
            let expired = timer.alarm.expire();
            if expired == 0 {
                continue;
            }
            timer.overrun = expired - 1;
            if let Some(notice) = timer.notice {
                let id = c_int::try_from(id).unwrap_or_default();
                let overrun = c_int::try_from(timer.overrun).unwrap_or(c_int::MAX);
                let info = SignalInfo::of_timer(notice.signal, id, overrun, notice.value);
                signals.push((notice.to, info));
            }
        }
        signals
    }
}

pub(super) fn serve(
    state: &mut Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<CallResult> {
    let [first, second, third, ..] = call.arguments;
    Some(match call.linux_number() {
        libc::SYS_alarm => Ok(state.set_alarm(call.unsigned(0))),
        libc::SYS_setitimer => state.set_interval_timer(memory, call.int(0), second, third),
        libc::SYS_getitimer => interval_timer(call.int(0))
            .and_then(|timer| state.tell_interval_timer(memory, timer, second)),
        libc::SYS_timer_create => state.make_timer(memory, call),
        libc::SYS_timer_settime => state.set_timer(memory, call),
        libc::SYS_timer_gettime => state
            .timer(first)
            .map(|timer| timer.alarm)
            .map_err(Into::into)
            .and_then(|alarm| tell(memory, second, alarm)),
        libc::SYS_timer_getoverrun => state
            .timer(first)
            .map(|timer| timer.overrun.min(u64::from(i32::MAX.unsigned_abs())))
            .map_err(Into::into),
        libc::SYS_timer_delete => state
            .timer(first)
            .map(|_| ())
            .map_err(Into::into)
            .map(|()| {
                state.timers.timers.remove(id_of(first));
                0
            }),
        libc::SYS_timerfd_create => state.make_timer_file(call),
        libc::SYS_timerfd_settime => state.set_timer_file(memory, call),
        libc::SYS_timerfd_gettime => state.timer_file(first).map_err(Into::into).and_then(|id| {
            let alarm = state.own.timers[id].alarm;
            tell(memory, second, alarm)
        }),
        _ => return None,
    })
}

fn id_of(register: u64) -> usize {
    super::low_half(register) as usize
}

/// The place of an interval timer.
fn interval_timer(which: c_int) -> Result<usize, Failure> {
    let place = usize::try_from(which).ok();
    let place = place.filter(|&place| place < INTERVAL_TIMERS.len());
    place.ok_or_else(|| Errno::EINVAL.into())
}

/// Writes a `struct itimerspec`.
fn tell(memory: &mut AddressSpace, to: u64, alarm: Alarm) -> CallResult {
    let (interval, left) = (alarm.interval(), alarm.left().unwrap_or_default());
    write_time(memory, to, interval, 1)?;
    write_time(memory, to.wrapping_add(16), left, 1)?;
    Ok(0)
}

/// Writes a duration as two `long`s, of which the second is in units of `unit` nanoseconds.
fn write_time(memory: &mut AddressSpace, to: u64, time: Duration, unit: u32) -> Result<(), Errno> {
    let seconds = c_long::try_from(time.as_secs()).unwrap_or(c_long::MAX);
    guest::write_pair(
        memory,
        to,
        seconds,
        c_long::from(time.subsec_nanos() / unit),
    )
}

impl Personality {
    fn set_alarm(&mut self, seconds: u32) -> u64 {
        let left = self.timers.interval[0].left().unwrap_or_default();
        let (clock, _) = INTERVAL_TIMERS[0];
        let after = Duration::from_secs(seconds.into());
        self.timers.interval[0] = Alarm::after(clock, after, Duration::ZERO);
        self.threads.look();
        self.threads.wish();
        // A part of a second counts as a whole one, since 0 would mean that there was no alarm.
        left.as_secs() + u64::from(left.subsec_nanos() > 0)
    }

    fn set_interval_timer(
        &mut self,
        memory: &mut AddressSpace,
        which: c_int,
        new: u64,
        old: u64,
    ) -> CallResult {
        let timer = interval_timer(which)?;
        let read = |memory: &AddressSpace, address: u64| {
            let (seconds, microseconds) = guest::read_pair(memory, address)?;
            let nanoseconds = microseconds.checked_mul(1000).ok_or(Errno::EINVAL)?;
            time::duration(seconds, nanoseconds).ok_or(Errno::EINVAL)
        };
        let alarm = if new == 0 {
            Alarm::default()
        } else {
            let interval = read(memory, new)?;
            let first = read(memory, new.wrapping_add(16))?;
            Alarm::after(INTERVAL_TIMERS[timer].0, first, interval)
        };
        if old != 0 {
            self.tell_interval_timer(memory, timer, old)?;
        }
        self.timers.interval[timer] = alarm;
        self.threads.look();
        self.threads.wish();
        Ok(0)
    }

    /// Writes a `struct itimerval`.
    fn tell_interval_timer(&self, memory: &mut AddressSpace, timer: usize, to: u64) -> CallResult {
        let alarm = self.timers.interval[timer];
        write_time(memory, to, alarm.interval(), 1000)?;
        let left = alarm.left().unwrap_or_default();
        write_time(memory, to.wrapping_add(16), left, 1000)?;
        Ok(0)
    }

    fn make_timer(&mut self, memory: &mut AddressSpace, call: &SystemCall) -> CallResult {
        let [_, event, to, ..] = call.arguments;
        if !CLOCKS.contains(&call.int(0)) {
            return Err(Errno::EINVAL.into());
        }
        if self.timers.timers.len() >= MOST_TIMERS {
            return Err(Errno::EAGAIN.into());
        }
        let id = self.timers.timers.vacant_key();
        let notice = if event == 0 {
            Some(Notice {
                signal: libc::SIGALRM,
                value: id as u64,
                to: None,
            })
        } else {
            self.read_notice(memory, event)?
        };
        guest::write(memory, to, &super::low_half(id as u64).to_le_bytes())?;
        self.timers.timers.insert(Timer {
            clock: ClockId::from_raw(call.int(0)),
            alarm: Alarm::default(),
            notice,
            overrun: 0,
        });
        Ok(0)
    }

    /// Reads a `struct sigevent`.
    fn read_notice(&mut self, memory: &AddressSpace, at: u64) -> Result<Option<Notice>, Errno> {
        let value = guest::read_u64(memory, at)?;
        let signal = guest::read_u32(memory, at.wrapping_add(8))?.cast_signed();
        let kind = guest::read_u32(memory, at.wrapping_add(12))?.cast_signed();
        let thread = guest::read_u32(memory, at.wrapping_add(16))?.cast_signed();
        if kind == libc::SIGEV_NONE {
            return Ok(None);
        }
        let to = match kind {
            libc::SIGEV_SIGNAL => None,
            SIGEV_THREAD_ID => {
                let thread = self.threads.get_mut(ThreadId(thread));
                Some(thread.ok_or(Errno::EINVAL)?.id)
            }
            _ => return Err(Errno::EINVAL),
        };
        if !(1..=64).contains(&signal) {
            return Err(Errno::EINVAL);
        }
        Ok(Some(Notice { signal, value, to }))
    }

    fn timer(&self, id: u64) -> Result<&Timer, Errno> {
        self.timers.timers.get(id_of(id)).ok_or(Errno::EINVAL)
    }

    fn set_timer(&mut self, memory: &mut AddressSpace, call: &SystemCall) -> CallResult {
        let [id, _, new, old, ..] = call.arguments;
        let before = self.timer(id)?;
        let (clock, before) = (before.clock, before.alarm);
        let is_absolute = call.int(1) & libc::TIMER_ABSTIME != 0;
        let alarm = read_alarm(memory, new, clock, is_absolute)?;
        if old != 0 {
            tell(memory, old, before)?;
        }
        let timer = &mut self.timers.timers[id_of(id)];
        timer.alarm = alarm;
        timer.overrun = 0;
        self.threads.look();
        self.threads.wish();
        Ok(0)
    }

    fn make_timer_file(&mut self, call: &SystemCall) -> CallResult {
        let flags = call.int(1);
        let known = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        let clocks = [
            libc::CLOCK_REALTIME,
            libc::CLOCK_MONOTONIC,
            libc::CLOCK_BOOTTIME,
        ];
        if flags & !known != 0 || !clocks.contains(&call.int(0)) {
            return Err(Errno::EINVAL.into());
        }
        let timer = TimerFile::new(ClockId::from_raw(call.int(0)));
        let timer = self.own.timers.insert(timer);
        Ok(self.open_own(OwnFile::Timer(timer), flags | libc::O_RDWR)?)
    }

    fn timer_file(&self, descriptor: u64) -> Result<usize, Errno> {
        match self.descriptors.get(descriptor)?.object {
            super::descriptors::Object::Own(OwnFile::Timer(id)) => Ok(id),
            _ => Err(Errno::EINVAL),
        }
    }

    fn set_timer_file(&mut self, memory: &mut AddressSpace, call: &SystemCall) -> CallResult {
        let [descriptor, _, new, old, ..] = call.arguments;
        let known = libc::TFD_TIMER_ABSTIME | libc::TFD_TIMER_CANCEL_ON_SET;
        if call.int(1) & !known != 0 {
            return Err(Errno::EINVAL.into());
        }
        let id = self.timer_file(descriptor)?;
        let is_absolute = call.int(1) & libc::TFD_TIMER_ABSTIME != 0;
        let alarm = read_alarm(memory, new, self.own.timers[id].clock, is_absolute)?;
        if old != 0 {
            self.own.timers[id].look();
            tell(memory, old, self.own.timers[id].alarm)?;
        }
        self.own.timers[id].set(alarm);
        self.threads.wish();
        self.wake_watchers(|file| file == OwnFile::Timer(id));
        Ok(0)
    }

    /// Counts the expirations of the timers that are files, and wakes those that wait for them.
    pub(super) fn count_timer_files(&mut self) {
        let mut expired = Vec::new();
        for (id, timer) in &mut self.own.timers {
            if timer.look() > 0 {
                expired.push(OwnFile::Timer(id));
            }
        }
        if !expired.is_empty() {
            self.wake_watchers(|file| expired.contains(&file));
        }
    }

    /// Sends the signals of the timers that have expired.
    ///
    /// # Errors
    /// A signal kills the program.
    pub(super) fn expire_timers(&mut self) -> Result<(), Failure> {
        for (to, info) in self.timers.expire() {
            // The thread may have ended.
            let to = to.filter(|&to| self.threads.get_mut(to).is_some());
            // A signal for which the queue is full, or that would stop the program, is lost.
            if let Err(Failure::Signal(signal)) = self.send(to, info) {
                return Err(Failure::Signal(signal));
            }
        }
        Ok(())
    }
}

/// Reads a `struct itimerspec`.
fn read_alarm(
    memory: &AddressSpace,
    at: u64,
    clock: ClockId,
    is_absolute: bool,
) -> Result<Alarm, Errno> {
    let interval = time::read_time(memory, at)?;
    let first = time::read_time(memory, at.wrapping_add(16))?;
    Ok(if is_absolute {
        Alarm::at(clock, first, interval)
    } else {
        Alarm::after(clock, first, interval)
    })
}
