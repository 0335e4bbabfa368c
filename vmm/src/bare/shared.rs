//! What all vCPUs of a bare guest share.

use super::address_space::AddressSpace;
use super::contexts::Contexts;
use super::ending::Stopped;
use super::error::RunError;
use super::paused::Paused;
use super::phase::Phase;
use super::program::Image;
use super::syscalls::Personality;

/// What all vCPUs share: whoever serves an exit has all of it alone.
#[derive(Debug)]
pub(super) struct Shared<'a> {
    pub(super) personality: &'a mut Personality,
    pub(super) memory: &'a mut AddressSpace,
    pub(super) contexts: Contexts,
    /// The program's layout, until its code has been made ready.
    pub(super) cold: Option<Image>,
    /// What the vCPU that watches the host knows to watch for (`Personality::wishes`), while one
    /// does.
    pub(super) watched: Option<u64>,
    /// Whether the vCPU that watches the host has been told to come back.
    pub(super) has_rung: bool,
    /// The number of vCPUs that sleep.
    pub(super) sleepers: usize,
    /// Whether the program stops where it first asks for input.
    pub(super) pauses_at_input: bool,
    /// The program's registers, if it has stopped so.
    pub(super) paused: Option<Paused>,
    /// How the program has stopped.
    pub(super) end: Option<Result<Stopped, RunError>>,
    /// Whether the program has ended, or a vCPU has given up: no vCPU goes on.
    pub(super) is_over: bool,
    next_phase: Option<Phase>,
}

impl<'a> Shared<'a> {
    pub(super) fn new(
        personality: &'a mut Personality,
        memory: &'a mut AddressSpace,
        contexts: Contexts,
        cold: Option<Image>,
    ) -> Self {
        Self {
            personality,
            memory,
            contexts,
            cold,
            watched: None,
            has_rung: false,
            sleepers: 0,
            pauses_at_input: false,
            paused: None,
            end: None,
            is_over: false,
            next_phase: Some(Phase::FirstExit),
        }
    }

    /// Notes how the program has stopped. The first end counts.
    pub(super) fn finish(&mut self, end: Result<Stopped, RunError>) {
        self.end.get_or_insert(end);
        self.is_over = true;
    }

    /// Tells of the guest's first exit, at the first one.
    pub(super) fn tell_first_exit(&mut self, on_phase: &dyn Fn(Phase)) {
        if self.next_phase == Some(Phase::FirstExit) {
            on_phase(Phase::FirstExit);
            self.next_phase = Some(Phase::Ready);
        }
    }

    /// Tells of the program's first output, once.
    pub(super) fn tell_output(&mut self, on_phase: &dyn Fn(Phase)) {
        if self.next_phase == Some(Phase::Ready) && self.personality.has_written_output() {
            on_phase(Phase::Ready);
            self.next_phase = None;
        }
    }
}
