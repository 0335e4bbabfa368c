//! The calls on signals, which a program can only send to itself.
//!
//! Dispositions, the mask and pending signals are kept as on Linux, and a signal whose default is
//! death kills the program. No handler ever runs: a signal that would need one is refused with
//! `ENOSYS`, so that the program notices. The start-up of C libraries and `abort` need no more.

use nix::errno::Errno;
use nix::libc::{self, c_int};

use super::guest::{self, put};
use super::identity::PROCESS_ID;
use super::{CallResult, Failure, Personality, SystemCall};
use crate::bare::address_space::AddressSpace;

/// One past the last signal (`_NSIG`).
const SIGNALS: usize = 65;
// `SIG_DFL` and `SIG_IGN` (`asm-generic/signal-defs.h`).
const DEFAULT: u64 = 0;
const IGNORE: u64 = 1;
/// The least size of an alternate stack (`MINSIGSTKSZ`).
const LEAST_STACK: u64 = 2048;
/// `SS_AUTODISARM` (`linux/signal.h`).
const AUTO_DISARM: u32 = 1 << 31;

/// The kernel's `struct sigaction`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Action {
    handler: u64,
    /// The flags, the restorer and the mask. They are only kept for the program.
    rest: [u64; 3],
}

/// The alternate signal stack. It is only kept for the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stack {
    start: u64,
    flags: u32,
    size: u64,
}

/// What a program starts with of signals, as sets: bit N - 1 stands for signal N.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StartSignals {
    /// The signals that the program ignores.
    pub ignored: u64,
    /// The signals that the program blocks.
    pub blocked: u64,
}

/// The program's settings of signals, and its pending signals.
#[derive(Debug)]
pub(super) struct Signals {
    actions: [Action; SIGNALS],
    blocked: u64,
    pending: u64,
    stack: Option<Stack>,
}

impl Default for Signals {
    fn default() -> Self {
        Self::new(StartSignals::default())
    }
}

/// The effect of a signal that is not blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SignalEffect {
    /// The signal kills the program.
    Kills,
    /// The program ignores the signal.
    None,
    /// The signal would run a handler, or stop the program. Neither is served.
    NotServed,
}

/// Sets of signals, in which bit 0 is signal 1 (`/proc/self/status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SignalSets {
    pub pending: u64,
    pub blocked: u64,
    pub ignored: u64,
    pub caught: u64,
}

impl Signals {
    /// The signals of a program that has not started yet.
    pub fn new(start: StartSignals) -> Self {
        let mut actions = [Action::default(); SIGNALS];
        for (signal, action) in (1..).zip(&mut actions[1..]) {
            if start.ignored & bit(signal) != 0 {
                action.handler = IGNORE;
            }
        }
        Self {
            actions,
            blocked: start.blocked & CAN_BE_BLOCKED,
            pending: 0,
            stack: None,
        }
    }

    /// The signals that are pending, blocked, ignored and caught.
    pub fn sets(&self) -> SignalSets {
        let with = |wanted: fn(u64) -> bool| {
            (1..=64)
                .filter(|&signal| wanted(self.action(signal).handler))
                .fold(0, |set, signal| set | bit(signal))
        };
        SignalSets {
            pending: self.pending,
            blocked: self.blocked,
            ignored: with(|handler| handler == IGNORE),
            caught: with(|handler| handler != IGNORE && handler != DEFAULT),
        }
    }

    /// The failure of a write to a pipe without a reader.
    pub fn broken_pipe(&mut self) -> Failure {
        match self.send(libc::SIGPIPE) {
            Err(Failure::Signal(signal)) => Failure::Signal(signal),
            _ => Errno::EPIPE.into(),
        }
    }

    /// Sends a signal to the program. `signal` is 1 to 64.
    fn send(&mut self, signal: c_int) -> CallResult {
        if self.blocked & bit(signal) != 0 {
            self.pending |= bit(signal);
            return Ok(0);
        }
        match self.effect(signal) {
            SignalEffect::Kills => Err(Failure::Signal(u8::try_from(signal).unwrap_or_default())),
            SignalEffect::None => Ok(0),
            SignalEffect::NotServed => Err(Errno::ENOSYS.into()),
        }
    }

    fn effect(&self, signal: c_int) -> SignalEffect {
        let stops = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU].contains(&signal);
        let ignored_by_default =
            [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH].contains(&signal);
        match self.action(signal).handler {
            IGNORE => SignalEffect::None,
            DEFAULT if ignored_by_default => SignalEffect::None,
            // If the program stopped, nobody could make it go on.
            DEFAULT if stops => SignalEffect::NotServed,
            DEFAULT => SignalEffect::Kills,
            _ => SignalEffect::NotServed,
        }
    }

    fn action(&self, signal: c_int) -> Action {
        usize::try_from(signal)
            .ok()
            .and_then(|number| self.actions.get(number))
            .copied()
            .unwrap_or_default()
    }

    /// Changes the mask, and delivers pending signals that are no longer blocked.
    fn set_blocked(&mut self, blocked: u64) -> CallResult {
        self.blocked = blocked & CAN_BE_BLOCKED;
        for signal in 1..=64 {
            if self.pending & !self.blocked & bit(signal) != 0 {
                self.pending &= !bit(signal);
                if let Err(Failure::Signal(signal)) = self.send(signal) {
                    return Err(Failure::Signal(signal));
                }
            }
        }
        Ok(0)
    }
}

/// A signal's bit in a `sigset_t`.
const fn bit(signal: c_int) -> u64 {
    1 << ((signal - 1) & 63)
}

/// All signals but the two that nobody can block.
const CAN_BE_BLOCKED: u64 = !(bit(libc::SIGKILL) | bit(libc::SIGSTOP));

pub(super) fn serve(
    state: &mut Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<CallResult> {
    let [first, second, ..] = call.arguments;
    let signals = &mut state.signals;
    Some(match call.linux_number() {
        libc::SYS_rt_sigaction => signals.set_action(call, memory),
        libc::SYS_rt_sigprocmask => signals.change_mask(call, memory),
        libc::SYS_rt_sigpending => guest::write(memory, first, &signals.pending.to_le_bytes())
            .map(|()| 0)
            .map_err(Into::into),
        libc::SYS_sigaltstack => signals.set_stack(memory, first, second),
        libc::SYS_kill | libc::SYS_tkill => signals.send_to(call.int(0), call.int(1)),
        libc::SYS_tgkill if call.int(0) != call.int(1) => Err(Errno::ESRCH.into()),
        libc::SYS_tgkill => signals.send_to(call.int(1), call.int(2)),
        _ => return None,
    })
}

impl Signals {
    fn set_action(&mut self, call: &SystemCall, memory: &mut AddressSpace) -> CallResult {
        let [_, new, old, size, ..] = call.arguments;
        let signal = call.int(0);
        let untouchable = signal == libc::SIGKILL || signal == libc::SIGSTOP;
        if size != 8 || !(1..=64).contains(&signal) || (untouchable && new != 0) {
            return Err(Errno::EINVAL.into());
        }
        let before = self.action(signal);
        if new != 0 {
            let bytes: [u8; 32] = guest::read(memory, new)?;
            let word = |index: usize| {
                bytes[8 * index..]
                    .first_chunk()
                    .copied()
                    .map_or(0, u64::from_le_bytes)
            };
            let action = Action {
                handler: word(0),
                rest: [word(1), word(2), word(3)],
            };
            if let Some(slot) = usize::try_from(signal)
                .ok()
                .and_then(|number| self.actions.get_mut(number))
            {
                *slot = action;
            }
        }
        if old != 0 {
            let mut bytes = [0; 32];
            put(&mut bytes, 0, before.handler.to_le_bytes());
            for (index, word) in before.rest.iter().enumerate() {
                put(&mut bytes, 8 * (index + 1), word.to_le_bytes());
            }
            guest::write(memory, old, &bytes)?;
        }
        Ok(0)
    }

    fn change_mask(&mut self, call: &SystemCall, memory: &mut AddressSpace) -> CallResult {
        let [_, new, old, size, ..] = call.arguments;
        if size != 8 {
            return Err(Errno::EINVAL.into());
        }
        let before = self.blocked;
        let mut blocked = before;
        if new != 0 {
            let set = guest::read_u64(memory, new)?;
            blocked = match call.int(0) {
                libc::SIG_BLOCK => before | set,
                libc::SIG_UNBLOCK => before & !set,
                libc::SIG_SETMASK => set,
                _ => return Err(Errno::EINVAL.into()),
            };
        }
        if old != 0 {
            guest::write(memory, old, &before.to_le_bytes())?;
        }
        self.set_blocked(blocked)
    }

    fn set_stack(&mut self, memory: &mut AddressSpace, new: u64, old: u64) -> CallResult {
        let before = self.stack;
        let disabled = libc::SS_DISABLE.cast_unsigned();
        if new != 0 {
            let bytes: [u8; 24] = guest::read(memory, new)?;
            let word = |at: usize| {
                bytes[at..]
                    .first_chunk()
                    .copied()
                    .map_or(0, u64::from_le_bytes)
            };
            let flags = super::low_half(word(8));
            let (start, size) = (word(0), word(16));
            self.stack = match flags & !AUTO_DISARM {
                mode if mode == disabled => None,
                mode if mode != 0 && mode != libc::SS_ONSTACK.cast_unsigned() => {
                    return Err(Errno::EINVAL.into());
                }
                _ if size < LEAST_STACK => return Err(Errno::ENOMEM.into()),
                _ => Some(Stack {
                    start,
                    flags: flags & AUTO_DISARM,
                    size,
                }),
            };
        }
        if old != 0 {
            let shown = before.unwrap_or(Stack {
                start: 0,
                flags: disabled,
                size: 0,
            });
            let mut bytes = [0; 24];
            put(&mut bytes, 0, shown.start.to_le_bytes());
            put(&mut bytes, 8, shown.flags.to_le_bytes());
            put(&mut bytes, 16, shown.size.to_le_bytes());
            guest::write(memory, old, &bytes)?;
        }
        Ok(0)
    }

    fn send_to(&mut self, process: c_int, signal: c_int) -> CallResult {
        if !(0..=64).contains(&signal) {
            return Err(Errno::EINVAL.into());
        }
        // 0 and the negated number name the process group.
        if ![PROCESS_ID, 0, -PROCESS_ID].contains(&process) {
            return Err(Errno::ESRCH.into());
        }
        if signal == 0 {
            Ok(0)
        } else {
            self.send(signal)
        }
    }
}
