//! The calls that wait for descriptors: poll, ppoll, select, pselect6, and pause.
//!
//! Only the console can make a program wait. Every other file is always ready.

use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc::{self, c_short};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::descriptors::{MAX_DESCRIPTORS, Object};
use super::{CallResult, Personality, SystemCall, guest, time};
use crate::bare::address_space::AddressSpace;

/// The events of a file that is always ready.
const READY: c_short = libc::POLLIN | libc::POLLOUT | libc::POLLRDNORM | libc::POLLWRNORM;
/// The bytes of a `struct pollfd`.
const POLL_ENTRY: u64 = 8;

/// One descriptor for which the program waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Awaited {
    /// The descriptor. A negative number is ignored.
    descriptor: i32,
    events: c_short,
}

pub(super) fn serve(
    state: &mut Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<CallResult> {
    let timeout_address = call.arguments[4];
    Some(match call.linux_number() {
        libc::SYS_poll => {
            let timeout = u64::try_from(call.int(2)).ok().map(Duration::from_millis);
            state.poll(memory, call, timeout)
        }
        libc::SYS_ppoll => timespec(memory, call.arguments[2])
            .map_err(Into::into)
            .and_then(|timeout| state.poll(memory, call, timeout)),
        libc::SYS_select => timeval(memory, timeout_address)
            .map_err(Into::into)
            .and_then(|timeout| state.select(memory, call, timeout)),
        libc::SYS_pselect6 => timespec(memory, timeout_address)
            .map_err(Into::into)
            .and_then(|timeout| state.select(memory, call, timeout)),
        libc::SYS_pause => wait_for_ever(),
        _ => return None,
    })
}

/// Reads the timeout at `address`. Without a timeout (address 0) the wait has no end.
fn timespec(memory: &AddressSpace, address: u64) -> Result<Option<Duration>, Errno> {
    if address == 0 {
        return Ok(None);
    }
    time::read_time(memory, address).map(Some)
}

fn timeval(memory: &AddressSpace, address: u64) -> Result<Option<Duration>, Errno> {
    if address == 0 {
        return Ok(None);
    }
    let (seconds, microseconds) = guest::read_pair(memory, address)?;
    let nanoseconds = microseconds.checked_mul(1000).ok_or(Errno::EINVAL)?;
    time::duration(seconds, nanoseconds)
        .ok_or(Errno::EINVAL)
        .map(Some)
}

/// Waits until the VMM ends, since no signal handler ever runs in the guest.
fn wait_for_ever() -> ! {
    loop {
        thread::sleep(Duration::MAX);
    }
}

impl Personality {
    fn poll(
        &mut self,
        memory: &mut AddressSpace,
        call: &SystemCall,
        timeout: Option<Duration>,
    ) -> CallResult {
        let [address, count, ..] = call.arguments;
        let count = u64::from(super::low_half(count));
        if count > MAX_DESCRIPTORS as u64 {
            return Err(Errno::EINVAL.into());
        }
        let mut awaited = Vec::new();
        for index in 0..count {
            let at = address
                .checked_add(POLL_ENTRY * index)
                .ok_or(Errno::EFAULT)?;
            let [d0, d1, d2, d3, e0, e1, _, _] = guest::read(memory, at)?;
            awaited.push(Awaited {
                descriptor: i32::from_le_bytes([d0, d1, d2, d3]),
                events: c_short::from_le_bytes([e0, e1]),
            });
        }
        let events = self.wait(&awaited, timeout)?;
        for (index, event_bits) in (0..count).zip(&events) {
            guest::write(
                memory,
                address + POLL_ENTRY * index + 6,
                &event_bits.to_le_bytes(),
            )?;
        }
        Ok(events.iter().filter(|event_bits| **event_bits != 0).count() as u64)
    }

    /// Waits until a descriptor is ready or the time is up, and returns each descriptor's events.
    fn wait(&self, awaited: &[Awaited], timeout: Option<Duration>) -> Result<Vec<c_short>, Errno> {
        let mut events: Vec<c_short> = awaited
            .iter()
            .map(|each| self.known_events(*each))
            .collect();
        let mut places = Vec::new();
        let mut streams = Vec::new();
        for (place, each) in awaited.iter().enumerate() {
            let Ok(descriptor) = u64::try_from(each.descriptor) else {
                continue;
            };
            if let Ok(Object::Stream(stream)) =
                self.descriptors.get(descriptor).map(|file| file.object)
            {
                places.push(place);
                streams.push(PollFd::new(
                    self.console.descriptor(stream),
                    PollFlags::from_bits_retain(each.events),
                ));
            }
        }
        let any_ready = events.iter().any(|event_bits| *event_bits != 0);
        match (streams.is_empty(), timeout) {
            (true, _) if any_ready => {}
            (true, Some(timeout)) => thread::sleep(timeout),
            (true, None) => wait_for_ever(),
            (false, _) if any_ready => poll_host(&mut streams, Some(Duration::ZERO))?,
            (false, timeout) => poll_host(&mut streams, timeout)?,
        }
        for (place, polled) in places.into_iter().zip(&streams) {
            events[place] = polled.revents().map_or(0, |events| events.bits());
        }
        Ok(events)
    }

    /// The events of a descriptor that are known without asking the host.
    fn known_events(&self, each: Awaited) -> c_short {
        let Ok(descriptor) = u64::try_from(each.descriptor) else {
            return 0;
        };
        match self.descriptors.get(descriptor) {
            Err(_) => libc::POLLNVAL,
            Ok(file) if !file.has_data() => libc::POLLNVAL,
            Ok(file) if matches!(file.object, Object::Stream(_)) => 0,
            Ok(_) => each.events & READY,
        }
    }

    fn select(
        &mut self,
        memory: &mut AddressSpace,
        call: &SystemCall,
        timeout: Option<Duration>,
    ) -> CallResult {
        const EVENTS: [c_short; 3] = [libc::POLLIN, libc::POLLOUT, libc::POLLPRI];
        let sets = [call.arguments[1], call.arguments[2], call.arguments[3]];
        let count = u64::try_from(call.int(0))
            .map_err(|_| Errno::EINVAL)?
            .min(MAX_DESCRIPTORS as u64);
        let words = count.div_ceil(64);
        let mut awaited = Vec::new();
        let mut from = Vec::new();
        for (set, (&address, events)) in sets.iter().zip(EVENTS).enumerate() {
            for word in 0..if address == 0 { 0 } else { words } {
                let bits =
                    guest::read_u64(memory, address.checked_add(8 * word).ok_or(Errno::EFAULT)?)?;
                for bit in (0..64).filter(|bit| bits & (1 << bit) != 0) {
                    let descriptor = i32::try_from(64 * word + bit).map_err(|_| Errno::EBADF)?;
                    if 64 * word + bit < count {
                        self.descriptors.get(64 * word + bit)?;
                        awaited.push(Awaited { descriptor, events });
                        from.push((set, word, bit));
                    }
                }
            }
        }
        let events = self.wait(&awaited, timeout)?;
        let mut ready = vec![[0_u64; 3]; MAX_DESCRIPTORS / 64];
        let mut total = 0;
        for ((set, word, bit), event_bits) in from.into_iter().zip(events) {
            // After a hang-up or an error, a descriptor counts as readable and writable.
            let counts = EVENTS[set]
                | if set < 2 {
                    libc::POLLHUP | libc::POLLERR
                } else {
                    0
                };
            if let Some(words) = ready.get_mut(usize::try_from(word).unwrap_or(usize::MAX))
                && event_bits & counts != 0
            {
                words[set] |= 1 << bit;
                total += 1;
            }
        }
        for (set, &address) in sets
            .iter()
            .enumerate()
            .filter(|(_, address)| **address != 0)
        {
            for (word, bits) in (0..words).zip(&ready) {
                guest::write(memory, address + 8 * word, &bits[set].to_le_bytes())?;
            }
        }
        Ok(total)
    }
}

/// Waits in the host's kernel, which leaves the events in `streams`.
fn poll_host(streams: &mut [PollFd<'_>], timeout: Option<Duration>) -> Result<(), Errno> {
    let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let timeout = match end {
            // A part of a millisecond counts as a whole one, since a wait must not end too early.
            Some(end) => {
                let left = end.saturating_duration_since(Instant::now());
                let milliseconds = left.as_nanos().div_ceil(1_000_000);
                i32::try_from(milliseconds).map_or(PollTimeout::MAX, |left| {
                    PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
                })
            }
            None => PollTimeout::NONE,
        };
        match poll(streams, timeout) {
            Err(Errno::EINTR) => {}
            result => return result.map(|_| ()),
        }
    }
}
