//! The calls that wait for descriptors: poll, ppoll, select and pselect6.
//!
//! Only the console can make a program wait. Every other file is always ready.

use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{self, c_short};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::descriptors::{MAX_DESCRIPTORS, Object};
use super::moment::End;
use super::own_files::OwnFile;
use super::threads::{Condition, Interrupted, Wait};
use super::{CallResult, Failure, Personality, SystemCall, guest, time};
use crate::bare::address_space::AddressSpace;
use crate::devices::console::Stream;

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
        libc::SYS_ppoll => state.poll_with_mask(memory, call),
        libc::SYS_select => timeval(memory, timeout_address)
            .map_err(Into::into)
            .and_then(|timeout| state.select(memory, call, timeout)),
        libc::SYS_pselect6 => state.select_with_mask(memory, call),
        _ => return None,
    })
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

impl Personality {
    fn poll_with_mask(&mut self, memory: &mut AddressSpace, call: &SystemCall) -> CallResult {
        let [_, _, timeout, mask, size, _] = call.arguments;
        let timeout = time::read_timeout(memory, timeout)?;
        self.set_mask(memory, mask, size)?;
        self.poll(memory, call, timeout)
    }

    fn select_with_mask(&mut self, memory: &mut AddressSpace, call: &SystemCall) -> CallResult {
        let [_, _, _, _, timeout, mask] = call.arguments;
        let timeout = time::read_timeout(memory, timeout)?;
        if mask != 0 {
            let (mask, size) = guest::read_pair(memory, mask)?;
            self.set_mask(memory, mask.cast_unsigned(), size.cast_unsigned())?;
        }
        self.select(memory, call, timeout)
    }

    /// Sets the mask at `address` for the current call. Without a mask (address 0) the thread's own
    /// stays.
    pub(super) fn set_mask(
        &mut self,
        memory: &AddressSpace,
        address: u64,
        size: u64,
    ) -> Result<(), Failure> {
        if address == 0 {
            return Ok(());
        }
        if size != 8 {
            return Err(Errno::EINVAL.into());
        }
        self.block_for_call(guest::read_u64(memory, address)?)
    }

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

    /// Returns each descriptor's events, or waits until a descriptor is ready or the time is up.
    fn wait(
        &mut self,
        awaited: &[Awaited],
        timeout: Option<Duration>,
    ) -> Result<Vec<c_short>, Failure> {
        if timeout.is_some_and(|time| time.is_zero()) {
            self.serve_network();
        }
        let mut events: Vec<c_short> = awaited
            .iter()
            .map(|each| self.known_events(*each))
            .collect();
        let streams = self.streams(awaited);
        let mut polled: Vec<PollFd<'_>> = streams
            .iter()
            .map(|&(_, stream, events)| {
                let flags = PollFlags::from_bits_retain(events);
                PollFd::new(self.console.descriptor(stream), flags)
            })
            .collect();
        if !polled.is_empty() {
            poll_host(&mut polled)?;
        }
        for (&(place, ..), polled) in streams.iter().zip(&polled) {
            events[place] = polled.revents().map_or(0, |events| events.bits());
        }
        let is_ready = events.iter().any(|events| *events != 0);
        let is_over = timeout.is_some_and(|time| time.is_zero()) || self.threads.is_wait_over();
        if is_ready || is_over {
            return Ok(events);
        }
        let end = End::of_timeout(timeout)?;
        let streams = streams
            .into_iter()
            .map(|(_, stream, events)| (stream, events));
        Err(self.threads.wait(Wait {
            condition: Condition::Files {
                streams: streams.collect(),
                own: self.own_among(awaited),
            },
            end,
            interrupted: Interrupted::Fails,
            bytes_done: 0,
        }))
    }

    /// The awaited descriptors that lead to the console: the place of each, the stream and the
    /// events.
    fn streams(&self, awaited: &[Awaited]) -> Vec<(usize, Stream, c_short)> {
        let stream_of = |each: &Awaited| match self.object_of(*each)? {
            Object::Stream(stream) => Some(stream),
            _ => None,
        };
        let places = awaited.iter().enumerate();
        places
            .filter_map(|(place, each)| Some((place, stream_of(each)?, each.events)))
            .collect()
    }

    /// The awaited files of the program's own.
    fn own_among(&self, awaited: &[Awaited]) -> Vec<OwnFile> {
        let own = awaited
            .iter()
            .filter_map(|each| match self.object_of(*each)? {
                Object::Own(own) => Some(own),
                _ => None,
            });
        own.collect()
    }

    /// What an awaited descriptor leads to, if it is open.
    fn object_of(&self, each: Awaited) -> Option<Object> {
        let descriptor = u64::try_from(each.descriptor).ok()?;
        let file = self.descriptors.get(descriptor).ok()?;
        Some(file.object)
    }

    /// The events of a stream that the host tells now.
    pub(super) fn stream_events(&self, stream: Stream, events: c_short) -> Result<c_short, Errno> {
        let flags = PollFlags::from_bits_retain(events);
        let mut polled = [PollFd::new(self.console.descriptor(stream), flags)];
        poll_host(&mut polled)?;
        Ok(polled[0].revents().map_or(0, |events| events.bits()))
    }

    /// The events of a descriptor that are known without asking the host.
    fn known_events(&self, each: Awaited) -> c_short {
        let Ok(descriptor) = u64::try_from(each.descriptor) else {
            return 0;
        };
        match self.descriptors.get(descriptor) {
            Err(_) => libc::POLLNVAL,
            Ok(file) if !file.has_data() => libc::POLLNVAL,
            Ok(file) => match file.object {
                Object::Stream(_) => 0,
                Object::Own(own) => {
                    let told = each.events | libc::POLLERR | libc::POLLHUP;
                    self.own_readiness(own).events & told
                }
                _ => each.events & READY,
            },
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

/// Asks the host's kernel, which leaves the events in `streams`.
fn poll_host(streams: &mut [PollFd<'_>]) -> Result<(), Errno> {
    loop {
        match poll(streams, PollTimeout::ZERO) {
            Err(Errno::EINTR) => {}
            result => return result.map(|_| ()),
        }
    }
}
