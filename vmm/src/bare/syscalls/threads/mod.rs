//! The program's threads, which share the processors: who runs, who waits, and for what.
//!
//! A call that would block never blocks the VMM while another thread can run: the call puts its
//! thread to wait ([`Threads::wait`]), and the run loop lets the next thread run. A thread whose
//! wait is over either gets a value, or makes its call again, as Linux restarts a system call.

mod seats;
mod thread;
mod wait;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{c_int, c_short};

use super::Failure;
use super::own_files::OwnFile;
use super::process_name::NAME;
use crate::devices::console::Stream;
use thread::{Again, State};

pub(super) use seats::Seats;
pub(super) use thread::Thread;
pub(crate) use thread::{AlternateStack, Trap};
pub use thread::{Resume, ThreadId};
pub(super) use wait::{Condition, Interrupted, Wait};

/// The most threads of a program (`RLIMIT_NPROC`). Each costs the VMM some kilobytes.
pub(super) const MOST_THREADS: usize = 4096;
/// The numbers after which thread numbers begin again (`/proc/sys/kernel/pid_max`).
const MOST_ID: c_int = 32_768;

/// All threads. The *current* one has the processor whose exit is served.
#[derive(Debug)]
pub(super) struct Threads {
    all: BTreeMap<ThreadId, Thread>,
    seats: Seats,
    /// The threads that could run but for a processor, in the order in which they get one.
    ready: VecDeque<ThreadId>,
    last_id: c_int,
    /// The number of waits so far.
    waits: u64,
    /// The number of times that something was added for which the host is to be watched.
    wishes: u64,
}

impl Threads {
    /// The threads of a program that has not started yet.
    pub fn new(name: [u8; NAME]) -> Self {
        let first = ThreadId::FIRST;
        Self {
            all: BTreeMap::from([(first, Thread::new(first, name))]),
            seats: Seats::new(first),
            ready: VecDeque::new(),
            last_id: first.0,
            waits: 0,
            wishes: 0,
        }
    }

    /// The processors.
    pub fn seats(&self) -> &Seats {
        &self.seats
    }

    /// The processors, to change them.
    pub fn seats_mut(&mut self) -> &mut Seats {
        &mut self.seats
    }

    /// The number of threads that could run but for a processor.
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// The current thread, unless it waits or has ended.
    pub fn running(&self) -> Option<&Thread> {
        let seat = self.seats.here();
        self.all.get(&seat.thread).filter(|_| seat.runs)
    }

    /// The current thread.
    ///
    /// # Panics
    /// Never: the table keeps the current thread until the next one has been chosen.
    pub fn current(&self) -> &Thread {
        self.all
            .get(&self.current_id())
            .expect("the current thread is in the table")
    }

    /// The current thread, to change it.
    ///
    /// # Panics
    /// Never, as with [`Self::current`].
    pub fn current_mut(&mut self) -> &mut Thread {
        let current = self.current_id();
        self.all
            .get_mut(&current)
            .expect("the current thread is in the table")
    }

    /// The number of the current thread.
    pub fn current_id(&self) -> ThreadId {
        self.seats.here().thread
    }

    /// The thread of this number.
    pub fn get_mut(&mut self, id: ThreadId) -> Option<&mut Thread> {
        self.all.get_mut(&id)
    }

    /// All threads, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Thread> {
        self.all.values()
    }

    /// The number of threads.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Adds a thread, which starts with the mask and the name of the current one.
    ///
    /// # Errors
    /// `EAGAIN`: there are too many.
    pub fn add(&mut self) -> Result<&mut Thread, Errno> {
        if self.all.len() >= MOST_THREADS {
            return Err(Errno::EAGAIN);
        }
        loop {
            self.last_id = if self.last_id < MOST_ID {
                self.last_id + 1
            } else {
                ThreadId::FIRST.0 + 1
            };
            if !self.all.contains_key(&ThreadId(self.last_id)) {
                break;
            }
        }
        let id = ThreadId(self.last_id);
        let parent = self.current();
        let mut thread = Thread::new(id, parent.name);
        thread.blocked = parent.blocked;
        self.ready.push_back(id);
        Ok(self.all.entry(id).or_insert(thread))
    }

    /// Ends the current thread. The result is `false` if it was the last one.
    pub fn end_current(&mut self) -> bool {
        if self.all.len() == 1 {
            return false;
        }
        self.all.remove(&self.current_id());
        self.leave();
        true
    }

    /// Puts the current thread to wait, and gives what its call says to the run loop.
    pub fn wait(&mut self, wait: Wait) -> Failure {
        self.leave();
        self.waits += 1;
        self.wishes += u64::from(wait.is_for_host());
        let waits = self.waits;
        let thread = self.current_mut();
        thread.waits_since = waits;
        let end = thread.again.take().map_or(wait.end, |again| again.end);
        thread.state = State::Waits(Wait { end, ..wait });
        Failure::Waits
    }

    /// Notes that the current thread goes on no longer.
    fn leave(&mut self) {
        let seat = self.seats.here_mut();
        seat.wants_look = true;
        seat.runs = false;
    }

    /// Whether the time is up for which the current call would wait: it must give an answer now.
    pub fn is_wait_over(&self) -> bool {
        self.current().again.is_some_and(|again| again.is_over)
    }

    /// The bytes that the current call has moved before it waited.
    pub fn bytes_done(&self) -> usize {
        self.current().again.map_or(0, |again| again.bytes_done)
    }

    /// Forgets the wait of the current thread's call, which has given its answer.
    pub fn end_call(&mut self) {
        self.current_mut().again = None;
    }

    /// Lets the other threads run before the current one.
    pub fn yield_now(&mut self) {
        self.seats.here_mut().wants_look |= !self.ready.is_empty();
    }

    /// Makes the run loop look for signals before the current thread goes on.
    pub fn look(&mut self) {
        self.seats.here_mut().wants_look = true;
    }

    /// Notes that the host is to be watched for more than before: a timer was set.
    pub fn wish(&mut self) {
        self.wishes += 1;
    }

    /// The number of such notes. While it stays, who watches the host need not look again.
    pub fn wishes(&self) -> u64 {
        self.wishes
    }

    /// Whether the run loop must choose a thread and look for its signals.
    pub fn wants_look(&self) -> bool {
        self.seats.here().wants_look
    }

    /// Chooses the thread that runs next: the one that has waited longest for a processor. The
    /// result is `None` if every thread runs or waits for something else.
    pub fn choose(&mut self) -> Option<(ThreadId, Resume)> {
        let seat = self.seats.here_mut();
        if std::mem::take(&mut seat.runs) {
            self.ready.push_back(seat.thread);
        }
        let next = self.ready.pop_front()?;
        seat.thread = next;
        seat.runs = true;
        seat.wants_look = false;
        let thread = self.current_mut();
        Some((next, std::mem::replace(&mut thread.resume, Resume::GoOn)))
    }

    /// Ends the waits of at most `most` threads that wait for the futex at `address` with one of
    /// `bits`, those that have waited longest first, and returns how many there were.
    pub fn wake_futex(&mut self, address: u64, bits: u32, most: usize) -> usize {
        let woken = self.futex_waiters(address, bits, most);
        for &id in &woken {
            self.wake(id, Resume::Return(0));
        }
        woken.len()
    }

    /// Makes at most `most` threads that wait for the futex at `from` wait for the one at `to`.
    pub fn move_futex_waiters(&mut self, from: u64, to: u64, most: usize) -> usize {
        let moved = self.futex_waiters(from, u32::MAX, most);
        for id in &moved {
            if let Some(Thread {
                state: State::Waits(wait),
                ..
            }) = self.all.get_mut(id)
                && let Condition::Futex { address, .. } = &mut wait.condition
            {
                *address = to;
            }
        }
        moved.len()
    }

    /// The threads that wait for a futex, oldest wait first.
    fn futex_waiters(&self, address: u64, bits: u32, most: usize) -> Vec<ThreadId> {
        let listens = |thread: &&Thread| {
            thread.wait().is_some_and(|wait| {
                matches!(wait.condition, Condition::Futex { address: at, bits: to }
                    if at == address && to & bits != 0)
            })
        };
        let mut waiters: Vec<&Thread> = self.all.values().filter(listens).collect();
        waiters.sort_by_key(|thread| thread.waits_since);
        waiters.iter().take(most).map(|thread| thread.id).collect()
    }

    /// Makes the threads that wait for files, and that `is_ready` picks by their streams and their
    /// own files, make their calls again.
    pub fn wake_for_files(
        &mut self,
        mut is_ready: impl FnMut(&[(Stream, c_short)], &[OwnFile]) -> bool,
    ) {
        let woken = self.waiting(|wait| match &wait.condition {
            Condition::Files { streams, own } => is_ready(streams, own),
            _ => false,
        });
        for id in woken {
            self.wake(id, Resume::CallAgain);
        }
    }

    /// Ends the waits whose time is up.
    pub fn wake_for_time(&mut self) {
        let is_over = |wait: &Wait| wait.end.is_some_and(|end| end.left().is_zero());
        for id in self.waiting(is_over) {
            let value = self
                .all
                .get(&id)
                .and_then(Thread::wait)
                .and_then(Wait::value_at_end);
            let resume = value.map_or(Resume::CallAgain, Resume::Return);
            self.wake(id, resume);
            if let Some(Again { is_over, .. }) = self
                .all
                .get_mut(&id)
                .and_then(|thread| thread.again.as_mut())
            {
                *is_over = true;
            }
        }
    }

    /// Interrupts a thread's wait for a signal that the thread does not block.
    pub fn interrupt(&mut self, id: ThreadId) {
        self.look();
        if let Some(seat) = self.seats.of_mut(id) {
            seat.wants_look = true;
        }
        let Some(thread) = self.all.get_mut(&id) else {
            return;
        };
        let Some(wait) = thread.wait() else {
            return;
        };
        if wait.bytes_done > 0 {
            let done = i64::try_from(wait.bytes_done).unwrap_or(i64::MAX);
            return self.wake(id, Resume::Return(done));
        }
        let may_restart = wait.interrupted == Interrupted::MayRestart;
        thread.time_left = match wait.interrupted {
            Interrupted::FailsWithTimeLeft(address) => wait.end.map(|end| (address, end)),
            _ => None,
        };
        self.wake(id, Resume::Interrupted { may_restart });
    }

    /// Makes the threads that wait for a signal of `set` (all, or only `to`) make their calls again.
    pub fn wake_for_signal(&mut self, to: Option<ThreadId>, set: u64) {
        let waits_for_it =
            |wait: &Wait| matches!(wait.condition, Condition::Signals(wanted) if wanted & set != 0);
        for id in self.waiting(waits_for_it) {
            if to.is_none_or(|to| to == id) {
                self.wake(id, Resume::CallAgain);
            }
        }
    }

    /// The address at which the current thread's interrupted call tells the time that was left, and
    /// that time. The call will not be made again.
    pub fn take_time_left(&mut self) -> Option<(u64, Duration)> {
        let thread = self.current_mut();
        thread.again = None;
        thread
            .time_left
            .take()
            .map(|(address, end)| (address, end.left()))
    }

    /// Forgets a signal that waits for a thread, since the program ignores the signal.
    pub fn forget_pending(&mut self, signal: c_int) {
        for thread in self.all.values_mut() {
            thread.pending.forget(signal);
        }
    }

    fn waiting(&self, mut wanted: impl FnMut(&Wait) -> bool) -> Vec<ThreadId> {
        let wanted = |thread: &&Thread| thread.wait().is_some_and(&mut wanted);
        self.all
            .values()
            .filter(wanted)
            .map(|thread| thread.id)
            .collect()
    }

    /// Ends a thread's wait. The thread gets the processor when its turn comes.
    pub fn wake(&mut self, id: ThreadId, resume: Resume) {
        let Some(thread) = self.all.get_mut(&id) else {
            return;
        };
        let State::Waits(wait) = std::mem::replace(&mut thread.state, State::Runs) else {
            return;
        };
        thread.resume = resume;
        if !matches!(resume, Resume::Return(_)) {
            let is_over = false;
            thread.again = Some(Again {
                end: wait.end,
                is_over,
                bytes_done: wait.bytes_done,
            });
        }
        self.ready.push_back(id);
    }
}
