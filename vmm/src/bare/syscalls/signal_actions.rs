//! What the program does with each signal: its dispositions (`struct sigaction`).

use nix::libc::{self, c_int};

use super::guest::{put, word};
use super::signal_sets::{StartSignals, bit};

/// One past the last signal (`_NSIG`).
const SIGNALS: usize = 65;
/// The bytes of the kernel's `struct sigaction`.
pub(super) const ACTION: usize = 32;
// `SIG_DFL` and `SIG_IGN` (`asm-generic/signal-defs.h`).
const DEFAULT: u64 = 0;
const IGNORE: u64 = 1;

/// The kernel's `struct sigaction`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Action {
    /// The handler's address, or one of two small numbers.
    pub handler: u64,
    /// `SA_*` flags.
    pub flags: u64,
    /// The address to which the handler returns (`SA_RESTORER`).
    pub restorer: u64,
    /// The signals that are blocked while the handler runs.
    pub mask: u64,
}

impl Action {
    pub(super) fn from_bytes(bytes: &[u8; ACTION]) -> Self {
        Self {
            handler: word(bytes, 0),
            flags: word(bytes, 8),
            restorer: word(bytes, 16),
            mask: word(bytes, 24),
        }
    }

    pub(super) fn to_bytes(self) -> [u8; ACTION] {
        let mut bytes = [0; ACTION];
        let words = [self.handler, self.flags, self.restorer, self.mask];
        for (index, word) in words.into_iter().enumerate() {
            put(&mut bytes, 8 * index, word.to_le_bytes());
        }
        bytes
    }

    /// Whether the action has one of the `SA_*` flags.
    pub fn has(&self, flag: c_int) -> bool {
        self.flags & u64::from(flag.cast_unsigned()) != 0
    }
}

/// What becomes of a signal that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disposition {
    /// The signal kills the program.
    Kills,
    /// The program ignores the signal.
    Ignored,
    /// The signal would stop the program, and nobody could make the program go on.
    Stops,
    /// A handler runs.
    Handled,
}

/// The action of each signal.
#[derive(Debug)]
pub(super) struct Actions([Action; SIGNALS]);

impl Actions {
    /// The actions of a program that has not started yet.
    pub fn new(start: StartSignals) -> Self {
        let mut actions = [Action::default(); SIGNALS];
        for (signal, action) in (1..).zip(&mut actions[1..]) {
            if start.ignored & bit(signal) != 0 {
                action.handler = IGNORE;
            }
        }
        Self(actions)
    }

    /// The action of a signal, 1 to 64.
    pub fn get(&self, signal: c_int) -> Action {
        let place = usize::try_from(signal).ok();
        let action = place.and_then(|place| self.0.get(place));
        action.copied().unwrap_or_default()
    }

    /// Sets the action of a signal, 1 to 64.
    pub fn set(&mut self, signal: c_int, action: Action) {
        let place = usize::try_from(signal).ok();
        if let Some(slot) = place.and_then(|place| self.0.get_mut(place)) {
            *slot = action;
        }
    }

    /// What becomes of a signal.
    pub fn disposition(&self, signal: c_int) -> Disposition {
        let stops = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
        let ignored = [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH];
        match self.get(signal).handler {
            IGNORE => Disposition::Ignored,
            DEFAULT if ignored.contains(&signal) => Disposition::Ignored,
            DEFAULT if stops.contains(&signal) => Disposition::Stops,
            DEFAULT => Disposition::Kills,
            _ => Disposition::Handled,
        }
    }

    /// The signals that the program itself ignores, and those for which the program has a handler.
    pub fn ignored_and_caught(&self) -> (u64, u64) {
        let with = |wanted: fn(u64) -> bool| {
            (1..=64)
                .filter(|&signal| wanted(self.get(signal).handler))
                .fold(0, |set, signal| set | bit(signal))
        };
        (
            with(|handler| handler == IGNORE),
            with(|handler| handler != IGNORE && handler != DEFAULT),
        )
    }
}
