//! Signals that were sent and have not arrived yet.

use std::collections::VecDeque;

use nix::errno::Errno;
use nix::libc::{self, c_int};

use super::guest::put;
use super::identity::PROCESS_ID;
use super::signal_sets::bit;

/// The bytes of a `siginfo_t`.
pub(crate) const INFO: usize = 128;
/// The first signal of which several may wait at once (`SIGRTMIN` of the kernel).
const FIRST_QUEUED: c_int = 32;
/// The most signals that wait for a thread or the process (`RLIMIT_SIGPENDING`).
const MOST_PENDING: usize = 1024;
/// `si_code` of a signal that the kernel sends by itself.
const SI_KERNEL: c_int = 0x80;

/// What a handler is told of its signal: a `siginfo_t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SignalInfo([u8; INFO]);

impl SignalInfo {
    fn new(signal: c_int, code: c_int) -> Self {
        let mut bytes = [0; INFO];
        put(&mut bytes, 0, signal.to_le_bytes());
        put(&mut bytes, 8, code.to_le_bytes());
        Self(bytes)
    }

    /// A signal that the program sends itself. `code` is `SI_USER` or `SI_TKILL`.
    pub fn from_program(signal: c_int, code: c_int) -> Self {
        let mut info = Self::new(signal, code);
        put(&mut info.0, 16, PROCESS_ID.to_le_bytes());
        info
    }

    /// A signal that the kernel sends, about nothing in particular.
    pub fn from_kernel(signal: c_int) -> Self {
        Self::new(signal, SI_KERNEL)
    }

    /// The signal of a timer, with the number of expirations that no signal told of.
    pub fn of_timer(signal: c_int, timer: c_int, overrun: c_int, value: u64) -> Self {
        let mut info = Self::new(signal, libc::SI_TIMER);
        put(&mut info.0, 16, timer.to_le_bytes());
        put(&mut info.0, 20, overrun.to_le_bytes());
        put(&mut info.0, 24, value.to_le_bytes());
        info
    }

    /// A signal for an instruction that failed at `address`.
    pub fn of_fault(signal: c_int, code: c_int, address: u64) -> Self {
        let mut info = Self::new(signal, code);
        put(&mut info.0, 16, address.to_le_bytes());
        info
    }

    /// The signal `signal` with a `siginfo_t` of the program's own (`rt_sigqueueinfo`).
    pub fn from_bytes(signal: c_int, bytes: [u8; INFO]) -> Self {
        let mut info = Self(bytes);
        put(&mut info.0, 0, signal.to_le_bytes());
        info
    }

    /// The signal's number, 1 to 64.
    pub fn signal(&self) -> c_int {
        self.int(0)
    }

    /// Why the signal was sent (`si_code`).
    pub fn code(&self) -> c_int {
        self.int(8)
    }

    /// The `siginfo_t`.
    pub const fn bytes(&self) -> &[u8; INFO] {
        &self.0
    }

    fn int(&self, at: usize) -> c_int {
        self.0[at..]
            .first_chunk()
            .copied()
            .map_or(0, c_int::from_le_bytes)
    }
}

/// The signals that wait for one thread, or for any thread of the process.
#[derive(Debug, Default)]
pub(super) struct Queue(VecDeque<SignalInfo>);

impl Queue {
    /// Adds a signal. Of the first 31 signals only one waits at a time: a second one is lost.
    ///
    /// # Errors
    /// `EAGAIN`: too many signals wait.
    pub fn push(&mut self, info: SignalInfo) -> Result<(), Errno> {
        let signal = info.signal();
        if signal < FIRST_QUEUED && self.set() & bit(signal) != 0 {
            return Ok(());
        }
        if self.0.len() >= MOST_PENDING {
            return Err(Errno::EAGAIN);
        }
        self.0.push_back(info);
        Ok(())
    }

    /// The signals that wait, as a set.
    pub fn set(&self) -> u64 {
        self.0.iter().fold(0, |set, info| set | bit(info.signal()))
    }

    /// Takes out the first of the signals in `wanted`: a signal of a failed instruction, or the one
    /// with the lowest number.
    pub fn take(&mut self, wanted: u64) -> Option<SignalInfo> {
        let place = (0..self.0.len())
            .filter(|&place| bit(self.0[place].signal()) & wanted != 0)
            .min_by_key(|&place| {
                let info = &self.0[place];
                (!is_of_fault(info), info.signal(), place)
            })?;
        self.0.remove(place)
    }

    /// Forgets the signal, which the program ignores from now on.
    pub fn forget(&mut self, signal: c_int) {
        self.0.retain(|info| info.signal() != signal);
    }
}

/// Whether a signal comes from an instruction that failed, which is the first to be told of.
fn is_of_fault(info: &SignalInfo) -> bool {
    let signals = [
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGILL,
        libc::SIGTRAP,
        libc::SIGFPE,
    ];
    info.code() > 0 && signals.contains(&info.signal())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(signal: c_int) -> SignalInfo {
        SignalInfo::from_program(signal, libc::SI_USER)
    }

    #[test]
    fn the_lowest_number_comes_first_and_a_fault_before_it() {
        let mut queue = Queue::default();
        for signal in [libc::SIGTERM, libc::SIGUSR1, 40, libc::SIGUSR1, 40] {
            queue.push(sent(signal)).unwrap();
        }
        queue
            .push(SignalInfo::of_fault(libc::SIGSEGV, 1, 0x10))
            .unwrap();
        let order: Vec<_> = std::iter::from_fn(|| queue.take(u64::MAX))
            .map(|info| info.signal())
            .collect();
        assert_eq!(order, [11, 10, 15, 40, 40]);
    }

    #[test]
    fn only_wanted_signals_are_taken() {
        let mut queue = Queue::default();
        queue.push(sent(libc::SIGUSR1)).unwrap();
        assert_eq!(queue.take(!bit(libc::SIGUSR1)), None);
        queue.forget(libc::SIGUSR1);
        assert_eq!(queue.set(), 0);
    }

    #[test]
    fn a_flood_of_queued_signals_is_refused() {
        let mut queue = Queue::default();
        for _ in 0..MOST_PENDING {
            queue.push(sent(50)).unwrap();
        }
        assert_eq!(queue.push(sent(50)), Err(Errno::EAGAIN));
    }
}
