//! Sets of signals, in which bit N - 1 stands for signal N (`sigset_t`).

use nix::libc::{self, c_int};

/// A signal's bit in a set.
pub(super) const fn bit(signal: c_int) -> u64 {
    1 << ((signal - 1) & 63)
}

/// All signals but the two that nobody can block.
pub(super) const CAN_BE_BLOCKED: u64 = !(bit(libc::SIGKILL) | bit(libc::SIGSTOP));

/// What a program starts with of signals, as sets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StartSignals {
    /// The signals that the program ignores.
    pub ignored: u64,
    /// The signals that the program blocks.
    pub blocked: u64,
}

/// The sets that `/proc/self/status` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SignalSets {
    /// The signals that wait for the thread.
    pub pending: u64,
    /// The signals that wait for any thread of the process.
    pub shared_pending: u64,
    /// The signals that the thread blocks.
    pub blocked: u64,
    /// The signals that the program ignores.
    pub ignored: u64,
    /// The signals for which there is a handler.
    pub caught: u64,
}
