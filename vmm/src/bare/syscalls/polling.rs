//! Waiting for descriptors: poll, ppoll, select, pselect6, and pause.
//!
//! Only the console can make a program wait: everything else is always ready.

use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc::{self, c_short};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::descriptors::{MAX_DESCRIPTORS, Object};
use super::{Personality, Served, SystemCall, guest, time};
use crate::bare::address_space::AddressSpace;

/// What always-ready files answer, if asked.
const READY: c_short = libc::POLLIN | libc::POLLOUT | libc::POLLRDNORM | libc::POLLWRNORM;
/// Bytes of a `struct pollfd`.
const POLL_ENTRY: u64 = 8;

/// One descriptor that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wish {
    /// Negative: no wish.
    descriptor: i32,
    events: c_short,
}

pub(super) fn serve(
    state: &mut Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<Served> {
    let timeout = call.arguments[4];
    Some(match call.linux_number() {
        libc::SYS_poll => {
            let wait = u64::try_from(call.int(2)).ok().map(Duration::from_millis);
            state.poll(memory, call, wait)
        }
        libc::SYS_ppoll => timespec(memory, call.arguments[2])
            .map_err(Into::into)
            .and_then(|wait| state.poll(memory, call, wait)),
        libc::SYS_select => timeval(memory, timeout)
            .map_err(Into::into)
            .and_then(|wait| state.select(memory, call, wait)),
        libc::SYS_pselect6 => timespec(memory, timeout)
            .map_err(Into::into)
            .and_then(|wait| state.select(memory, call, wait)),
        libc::SYS_pause => wait_for_ever(),
        _ => return None,
    })
}

/// A timeout that may be absent: then the wait has no end.
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

/// No signal handler ever runs in the guest, so only the VMM's own end ends this.
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
        wait: Option<Duration>,
    ) -> Served {
        let [address, count, ..] = call.arguments;
        let count = u64::from(super::low_half(count));
        if count > MAX_DESCRIPTORS as u64 {
            return Err(Errno::EINVAL.into());
        }
        let mut wishes = Vec::new();
        for index in 0..count {
            let at = address
                .checked_add(POLL_ENTRY * index)
                .ok_or(Errno::EFAULT)?;
            let [d0, d1, d2, d3, e0, e1, _, _] = guest::read(memory, at)?;
            wishes.push(Wish {
                descriptor: i32::from_le_bytes([d0, d1, d2, d3]),
                events: c_short::from_le_bytes([e0, e1]),
            });
        }
        let answers = self.wait(&wishes, wait)?;
        for (index, answer) in (0..count).zip(&answers) {
            guest::write(
                memory,
                address + POLL_ENTRY * index + 6,
                &answer.to_le_bytes(),
            )?;
        }
        Ok(answers.iter().filter(|answer| **answer != 0).count() as u64)
    }

    /// Waits until something is ready, and says what; on an empty list, only for the time.
    fn wait(&self, wishes: &[Wish], wait: Option<Duration>) -> Result<Vec<c_short>, Errno> {
        let mut answers: Vec<c_short> = wishes.iter().map(|wish| self.at_once(*wish)).collect();
        let mut places = Vec::new();
        let mut waited = Vec::new();
        for (place, wish) in wishes.iter().enumerate() {
            let Ok(descriptor) = u64::try_from(wish.descriptor) else {
                continue;
            };
            if let Ok(Object::Stream(stream)) =
                self.descriptors.get(descriptor).map(|file| file.object)
            {
                places.push(place);
                waited.push(PollFd::new(
                    self.console.descriptor(stream),
                    PollFlags::from_bits_retain(wish.events),
                ));
            }
        }
        let any_ready = answers.iter().any(|answer| *answer != 0);
        match (waited.is_empty(), wait) {
            (true, _) if any_ready => {}
            (true, Some(wait)) => thread::sleep(wait),
            (true, None) => wait_for_ever(),
            (false, _) if any_ready => poll_host(&mut waited, Some(Duration::ZERO))?,
            (false, wait) => poll_host(&mut waited, wait)?,
        }
        for (place, polled) in places.into_iter().zip(&waited) {
            answers[place] = polled.revents().map_or(0, |events| events.bits());
        }
        Ok(answers)
    }

    /// What can be said without asking the host.
    fn at_once(&self, wish: Wish) -> c_short {
        let Ok(descriptor) = u64::try_from(wish.descriptor) else {
            return 0;
        };
        match self.descriptors.get(descriptor) {
            Err(_) => libc::POLLNVAL,
            Ok(file) if !file.has_data() => libc::POLLNVAL,
            Ok(file) if matches!(file.object, Object::Stream(_)) => 0,
            Ok(_) => wish.events & READY,
        }
    }

    fn select(
        &mut self,
        memory: &mut AddressSpace,
        call: &SystemCall,
        wait: Option<Duration>,
    ) -> Served {
        const EVENTS: [c_short; 3] = [libc::POLLIN, libc::POLLOUT, libc::POLLPRI];
        let sets = [call.arguments[1], call.arguments[2], call.arguments[3]];
        let count = u64::try_from(call.int(0))
            .map_err(|_| Errno::EINVAL)?
            .min(MAX_DESCRIPTORS as u64);
        let words = count.div_ceil(64);
        let mut wishes = Vec::new();
        let mut from = Vec::new();
        for (set, (&address, events)) in sets.iter().zip(EVENTS).enumerate() {
            for word in 0..if address == 0 { 0 } else { words } {
                let bits =
                    guest::read_u64(memory, address.checked_add(8 * word).ok_or(Errno::EFAULT)?)?;
                for bit in (0..64).filter(|bit| bits & (1 << bit) != 0) {
                    let descriptor = i32::try_from(64 * word + bit).map_err(|_| Errno::EBADF)?;
                    if 64 * word + bit < count {
                        self.descriptors.get(64 * word + bit)?;
                        wishes.push(Wish { descriptor, events });
                        from.push((set, word, bit));
                    }
                }
            }
        }
        let answers = self.wait(&wishes, wait)?;
        let mut ready = vec![[0_u64; 3]; MAX_DESCRIPTORS / 64];
        let mut total = 0;
        for ((set, word, bit), answer) in from.into_iter().zip(answers) {
            // A hang-up or an error makes a descriptor readable and writable.
            let counts = EVENTS[set]
                | if set < 2 {
                    libc::POLLHUP | libc::POLLERR
                } else {
                    0
                };
            if let Some(words) = ready.get_mut(usize::try_from(word).unwrap_or(usize::MAX))
                && answer & counts != 0
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

/// Waits in the host's kernel; what is ready is left in `waited`.
fn poll_host(waited: &mut [PollFd<'_>], wait: Option<Duration>) -> Result<(), Errno> {
    let end = wait.and_then(|wait| Instant::now().checked_add(wait));
    loop {
        let timeout = match end {
            // A part of a millisecond is waited for whole: never less than was asked.
            Some(end) => {
                let left = end.saturating_duration_since(Instant::now());
                let milliseconds = left.as_nanos().div_ceil(1_000_000);
                i32::try_from(milliseconds).map_or(PollTimeout::MAX, |left| {
                    PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
                })
            }
            None => PollTimeout::NONE,
        };
        match poll(waited, timeout) {
            Err(Errno::EINTR) => {}
            result => return result.map(|_| ()),
        }
    }
}
