//! How a signal that was sent reaches a thread: who gets the signal, when, and what it does there.

use nix::errno::Errno;
use nix::libc::{self, c_int};

use super::guest;
use super::own_files::OwnFile;
use super::signal_actions::{Action, Actions, Disposition};
use super::signal_queue::{Queue, SignalInfo};
use super::signal_sets::{CAN_BE_BLOCKED, SignalSets, StartSignals, bit};
use super::threads::{AlternateStack, Thread, ThreadId, Trap};
use super::{CallResult, Failure, Personality};
use crate::bare::address_space::AddressSpace;

/// The process's part of the signals: the actions, and what waits for any thread.
#[derive(Debug)]
pub(super) struct Signals {
    pub actions: Actions,
    pub pending: Queue,
}

impl Signals {
    /// The signals of a program that has not started yet.
    pub fn new(start: StartSignals) -> Self {
        Self {
            actions: Actions::new(start),
            pending: Queue::default(),
        }
    }
}

/// A signal that arrives at the current thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The signal with this number kills the program.
    Kills(u8),
    /// A handler runs.
    Runs(Box<Delivery>),
}

/// A handler's run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// What the handler is told.
    pub info: SignalInfo,
    /// The handler and its flags.
    pub action: Action,
    /// The mask after the handler.
    pub blocked_after: u64,
    /// The thread's alternate stack, in use or not.
    pub stack: Option<AlternateStack>,
    /// What the processor said, if the signal is about an instruction.
    pub trap: Trap,
}

impl Personality {
    /// Changes the current thread's mask. A signal that was only held back arrives now.
    pub(super) fn set_blocked(&mut self, blocked: u64) -> CallResult {
        self.threads.current_mut().blocked = blocked & CAN_BE_BLOCKED;
        let arriving = self.pending_signals() & !blocked;
        if arriving == 0 {
            return Ok(0);
        }
        self.threads.look();
        let kills = |&signal: &c_int| {
            arriving & bit(signal) != 0
                && self.signals.actions.disposition(signal) == Disposition::Kills
        };
        match (1..=64).find(kills) {
            Some(signal) => Err(killed_by(signal)),
            None => Ok(0),
        }
    }

    /// Changes the current thread's mask until the end of its call.
    pub(super) fn block_for_call(&mut self, blocked: u64) -> Result<(), Failure> {
        let thread = self.threads.current_mut();
        thread.blocked_after_call.get_or_insert(thread.blocked);
        self.set_blocked(blocked).map(|_| ())
    }

    /// Sends a signal to a thread, or to whichever thread takes the signal.
    pub(super) fn send(&mut self, to: Option<ThreadId>, info: SignalInfo) -> CallResult {
        let signal = info.signal();
        let receiver = match to {
            Some(id) => self
                .threads
                .get_mut(id)
                .filter(|thread| thread.takes(signal)),
            None => self.taker_of(signal),
        };
        let receiver = receiver.map(|thread| thread.id);
        if receiver.is_some() {
            match self.signals.actions.disposition(signal) {
                Disposition::Kills => return Err(killed_by(signal)),
                Disposition::Stops => return Err(Errno::ENOSYS.into()),
                Disposition::Ignored => return Ok(0),
                Disposition::Handled => {}
            }
        }
        match to.and_then(|id| self.threads.get_mut(id)) {
            Some(thread) => thread.pending.push(info)?,
            None => self.signals.pending.push(info)?,
        }
        if let Some(receiver) = receiver {
            self.threads.interrupt(receiver);
        }
        self.threads.wake_for_signal(to, bit(signal));
        self.wake_watchers(|file| matches!(file, OwnFile::Signals(_)));
        Ok(0)
    }

    /// A thread that does not block a signal of the process: the current one if it can be.
    fn taker_of(&mut self, signal: c_int) -> Option<&mut Thread> {
        let may_take = |thread: &&Thread| thread.takes(signal);
        let current = self.threads.running().filter(may_take);
        let taker = current.or_else(|| self.threads.iter().find(may_take))?;
        self.threads.get_mut(taker.id)
    }

    /// Tells the current thread of an instruction that failed. The result is `false` if no handler
    /// can be told, and the program dies.
    pub(crate) fn fault(&mut self, info: SignalInfo, trap: Trap) -> bool {
        let blocked = self.threads.current().blocked;
        let handled = self.signals.actions.disposition(info.signal()) == Disposition::Handled;
        if !handled || blocked & bit(info.signal()) != 0 {
            return false;
        }
        let thread = self.threads.current_mut();
        thread.trap = trap;
        let is_told = thread.pending.push(info).is_ok();
        self.threads.look();
        is_told
    }

    /// The failure of a write to a pipe without a reader.
    pub(super) fn broken_pipe(&mut self) -> Failure {
        let thread = self.threads.current_id();
        let info = SignalInfo::from_program(libc::SIGPIPE, libc::SI_USER);
        match self.send(Some(thread), info) {
            Err(Failure::Signal(signal)) => Failure::Signal(signal),
            _ => Errno::EPIPE.into(),
        }
    }

    /// The next signal that arrives at the current thread, if there is one.
    pub(crate) fn next_arrival(&mut self) -> Option<Arrival> {
        loop {
            let open = !self.threads.current().blocked;
            let Some(info) = self.take_pending(open) else {
                let thread = self.threads.current_mut();
                thread.blocked = thread.blocked_after_call.take()?;
                continue;
            };
            let signal = info.signal();
            match self.signals.actions.disposition(signal) {
                Disposition::Ignored | Disposition::Stops => {}
                Disposition::Kills => return Some(Arrival::Kills(number(signal))),
                Disposition::Handled => return Some(Arrival::Runs(Box::new(self.deliver(info)))),
            }
        }
    }

    fn deliver(&mut self, info: SignalInfo) -> Delivery {
        let signal = info.signal();
        let action = self.signals.actions.get(signal);
        if action.has(libc::SA_RESETHAND) {
            self.signals.actions.set(signal, Action::default());
        }
        let thread = self.threads.current_mut();
        let delivery = Delivery {
            info,
            action,
            blocked_after: thread.blocked_after_call.take().unwrap_or(thread.blocked),
            stack: thread.stack,
            trap: std::mem::take(&mut thread.trap),
        };
        let own = if action.has(libc::SA_NODEFER) {
            0
        } else {
            bit(signal)
        };
        thread.blocked = (thread.blocked | action.mask | own) & CAN_BE_BLOCKED;
        if thread.stack.is_some_and(|stack| stack.flags != 0) {
            thread.stack = None;
        }
        delivery
    }

    /// Sets what a handler's end brings back: the mask and the alternate stack. A stack that is none
    /// changes nothing.
    pub(crate) fn end_handler(
        &mut self,
        blocked: u64,
        stack: Result<Option<AlternateStack>, Errno>,
    ) {
        let thread = self.threads.current_mut();
        thread.blocked = blocked & CAN_BE_BLOCKED;
        thread.stack = stack.unwrap_or(thread.stack);
        self.threads.look();
    }

    /// A handler runs in place of the current thread's interrupted call: writes the time that was
    /// left, if the call tells that.
    pub(crate) fn end_interrupted_call(&mut self, memory: &mut AddressSpace) {
        if let Some((address, left)) = self.threads.take_time_left() {
            let seconds = left.as_secs().cast_signed();
            // Linux, too, gives the call's error and not one for this address.
            let _ = guest::write_pair(memory, address, seconds, i64::from(left.subsec_nanos()));
        }
    }

    /// Takes out a signal of a set that waits for the current thread or for the process.
    pub(super) fn take_pending(&mut self, wanted: u64) -> Option<SignalInfo> {
        let own = self.threads.current_mut().pending.take(wanted);
        own.or_else(|| self.signals.pending.take(wanted))
    }

    /// The blocked signals that wait for the current thread or for the process.
    pub(super) fn pending(&self) -> u64 {
        self.pending_signals() & self.threads.current().blocked
    }

    /// The signals that wait for the current thread or for the process, blocked or not.
    pub(super) fn pending_signals(&self) -> u64 {
        self.threads.current().pending.set() | self.signals.pending.set()
    }

    pub(super) fn forget_pending(&mut self, signal: c_int) {
        self.signals.pending.forget(signal);
        self.threads.forget_pending(signal);
    }

    /// The sets that `/proc/self/status` tells.
    pub(super) fn signal_sets(&self) -> SignalSets {
        let (ignored, caught) = self.signals.actions.ignored_and_caught();
        SignalSets {
            pending: self.threads.current().pending.set(),
            shared_pending: self.signals.pending.set(),
            blocked: self.threads.current().blocked,
            ignored,
            caught,
        }
    }
}

fn killed_by(signal: c_int) -> Failure {
    Failure::Signal(number(signal))
}

fn number(signal: c_int) -> u8 {
    u8::try_from(signal).unwrap_or_default()
}
