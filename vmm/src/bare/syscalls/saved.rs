//! What a snapshot keeps of a personality: a program with one thread, and with nothing open but its
//! standard streams.

use serde::{Deserialize, Serialize};

use super::Personality;
use super::descriptors::Descriptors;
use super::place::Place;
use super::process_name::NAME;
use super::signal_actions::Action;
use super::signal_sets::CAN_BE_BLOCKED;
use super::threads::AlternateStack;
use crate::bare::ProgramParts;
use crate::bare::address_space::AddressSpace;

/// The state of a program's system calls.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedPersonality {
    name: [u8; NAME],
    blocked: u64,
    /// The alternate signal stack: start, flags, size.
    stack: Option<(u64, u32, u64)>,
    fs_base: u64,
    gs_base: u64,
    clear_at_end: u64,
    robust_list: u64,
    /// The actions of signals 1 to 64: handler, flags, restorer, mask.
    actions: Vec<(u64, u64, u64, u64)>,
    file_mask: u32,
    parts: ProgramParts,
}

/// The program has something that a snapshot doesn't keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a snapshot doesn't keep {what}, which the program has where it first asks for input")]
pub struct NotSaved {
    /// What the program has.
    what: &'static str,
}

impl SavedPersonality {
    /// Whether the VMM can work with the numbers. Nobody but the program suffers from a wrong one of
    /// the others.
    pub(crate) fn is_usable(&self) -> bool {
        self.parts.are_ranges()
    }
}

impl Personality {
    /// What a snapshot keeps.
    ///
    /// # Errors
    /// The program has something else.
    pub(crate) fn save(&self) -> Result<SavedPersonality, NotSaved> {
        self.check_can_be_saved()?;
        let thread = self.threads.current();
        Ok(SavedPersonality {
            name: thread.name,
            blocked: thread.blocked,
            stack: thread
                .stack
                .map(|stack| (stack.start, stack.flags, stack.size)),
            fs_base: thread.fs_base,
            gs_base: thread.gs_base,
            clear_at_end: thread.clear_at_end,
            robust_list: thread.robust_list,
            actions: (1..=64)
                .map(|signal| self.signals.actions.get(signal))
                .map(|action| (action.handler, action.flags, action.restorer, action.mask))
                .collect(),
            file_mask: self.scratch.mask,
            parts: self.proc.parts.clone(),
        })
    }

    fn check_can_be_saved(&self) -> Result<(), NotSaved> {
        let thread = self.threads.current();
        let has = [
            ("a second thread", self.threads.count() > 1),
            ("open files", !self.descriptors.are(&Descriptors::new())),
            ("files of its own", self.scratch.has_files()),
            ("pipes, sockets or counters", !self.own.is_empty()),
            ("timers", !self.timers.is_empty()),
            (
                "signals that wait",
                thread.pending.set() | self.signals.pending.set() != 0,
            ),
            (
                "a working directory but /",
                self.working_directory != Place::ROOT,
            ),
        ];
        match has.into_iter().find(|(_, is_so)| *is_so) {
            None => Ok(()),
            Some((what, _)) => Err(NotSaved { what }),
        }
    }

    /// Gives a personality that is new what a snapshot has kept.
    pub(crate) fn restore(&mut self, saved: SavedPersonality, memory: &AddressSpace) {
        let thread = self.threads.current_mut();
        thread.name = saved.name;
        thread.blocked = saved.blocked & CAN_BE_BLOCKED;
        thread.stack =
            saved
                .stack
                .map(|(start, flags, size)| AlternateStack { start, flags, size });
        thread.fs_base = saved.fs_base;
        thread.gs_base = saved.gs_base;
        thread.clear_at_end = saved.clear_at_end;
        thread.robust_list = saved.robust_list;
        for (signal, (handler, flags, restorer, mask)) in (1..).zip(saved.actions) {
            self.signals.actions.set(
                signal,
                Action {
                    handler,
                    flags,
                    restorer,
                    mask,
                },
            );
        }
        self.scratch.mask = saved.file_mask & 0o777;
        // The numbers are those of another time, and perhaps of another machine.
        memory.clear_page(saved.parts.clock_page.start);
        self.proc.parts = saved.parts;
    }
}
