//! Who is told when each phase of a start ends.

#![expect(
    unsafe_code,
    reason = "an observer is called in a process where careless code is unsound"
)]

use super::phase::Phase;

/// Something that is told when each phase of a start ends.
///
/// # Safety
/// [`phase_ended`](PhaseObserver::phase_ended) is called in the launcher, in the container's first
/// process, and in a child of the first process that borrows its memory. The first process is a
/// copy of one thread of the launcher, so that a lock of another thread stays taken for good. An
/// implementation must not allocate, take a lock or panic, and must get by with 16 KiB of stack.
pub unsafe trait PhaseObserver {
    /// Tells that `phase` has just ended.
    fn phase_ended(&self, phase: Phase);
}

/// An observer that ignores the phases.
#[derive(Debug, Clone, Copy)]
pub struct NoObserver;

// SAFETY: the function does nothing.
unsafe impl PhaseObserver for NoObserver {
    fn phase_ended(&self, _: Phase) {}
}
