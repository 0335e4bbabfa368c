//! One thread of the program, as its system calls see it. Its registers are the run loop's.

use std::fmt;

use nix::libc::c_int;

use super::super::identity::PROCESS_ID;
use super::super::moment::End;
use super::super::process_name::NAME;
use super::super::signal_queue::Queue;
use super::super::signal_sets::bit;
use super::wait::Wait;

/// A thread's number (gettid(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ThreadId(pub(in crate::bare::syscalls) c_int);

impl ThreadId {
    /// The number of the program's first thread, which is the process's, too.
    pub const FIRST: Self = Self(PROCESS_ID);

    /// The number as a register holds it.
    pub fn number(self) -> u64 {
        u64::from(self.0.unsigned_abs())
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The alternate signal stack (sigaltstack(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AlternateStack {
    /// The lowest address.
    pub start: u64,
    /// `SS_AUTODISARM`, or 0.
    pub flags: u32,
    /// The length in bytes.
    pub size: u64,
}

impl AlternateStack {
    /// Whether a stack pointer lies on the stack (`on_sig_stack` in Linux).
    pub fn holds(&self, stack_pointer: u64) -> bool {
        stack_pointer > self.start && stack_pointer - self.start <= self.size
    }
}

/// What the processor tells of an instruction that failed, as a signal's handler sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Trap {
    /// The exception's number.
    pub vector: u64,
    /// The exception's error code.
    pub error_code: u64,
    /// For a page fault, the address (CR2).
    pub address: u64,
}

/// How a thread goes on when it gets a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// The thread goes on with its registers as they are.
    GoOn,
    /// The thread's call gives this number.
    Return(i64),
    /// The thread makes its call again.
    CallAgain,
    /// A signal has interrupted the thread's call, which gives `EINTR` if a handler runs. Without a
    /// handler the thread makes the call again.
    Interrupted {
        /// Whether the call is made again after a handler with `SA_RESTART`.
        may_restart: bool,
    },
}

/// A call that is made again: the rest of its wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Again {
    /// When the wait ends in any case, as it was when the call was made first.
    pub end: Option<End>,
    /// Whether the wait has ended.
    pub is_over: bool,
    /// The bytes that the call has moved before.
    pub bytes_done: usize,
}

/// What a thread does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// The thread has a processor, or waits for one.
    Runs,
    /// The thread waits for something else.
    Waits(Wait),
}

/// A thread.
#[derive(Debug)]
pub(in crate::bare::syscalls) struct Thread {
    /// The thread's number.
    pub id: ThreadId,
    /// The thread's name (`PR_SET_NAME`), with NULs after it.
    pub name: [u8; NAME],
    /// The signals that the thread blocks.
    pub blocked: u64,
    /// The signals that the thread blocks again after its call (`sigsuspend`, `ppoll`).
    pub blocked_after_call: Option<u64>,
    /// The signals that were sent to this very thread.
    pub pending: Queue,
    /// The alternate signal stack, if there is one.
    pub stack: Option<AlternateStack>,
    /// The base of FS.
    pub fs_base: u64,
    /// The base of GS.
    pub gs_base: u64,
    /// The address of the number that the thread's end sets to 0 (`set_tid_address`), or 0.
    pub clear_at_end: u64,
    /// The address of the list of locks that the thread's end frees (`set_robust_list`), or 0.
    pub robust_list: u64,
    /// What the processor told of the instruction whose signal waits for the thread.
    pub trap: Trap,
    /// Where the interrupted call's time that is left goes, if the call tells that.
    pub(super) time_left: Option<(u64, End)>,
    /// The place of the thread's wait in the order of all waits.
    pub(super) waits_since: u64,
    pub(super) state: State,
    pub(super) resume: Resume,
    pub(super) again: Option<Again>,
}

impl Thread {
    pub(super) fn new(id: ThreadId, name: [u8; NAME]) -> Self {
        Self {
            id,
            name,
            blocked: 0,
            blocked_after_call: None,
            pending: Queue::default(),
            stack: None,
            fs_base: 0,
            gs_base: 0,
            clear_at_end: 0,
            robust_list: 0,
            trap: Trap::default(),
            time_left: None,
            waits_since: 0,
            state: State::Runs,
            resume: Resume::GoOn,
            again: None,
        }
    }

    /// Whether the thread does not block a signal.
    pub fn takes(&self, signal: c_int) -> bool {
        self.blocked & bit(signal) == 0
    }

    /// What the thread waits for, if the thread waits.
    pub fn wait(&self) -> Option<&Wait> {
        match &self.state {
            State::Runs => None,
            State::Waits(wait) => Some(wait),
        }
    }
}
