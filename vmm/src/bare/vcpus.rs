#![expect(unsafe_code, reason = "sets an option of the C library's allocator")]
//! All vCPUs of a bare guest: each enters the guest by itself, and all serve their exits behind one
//! lock.
//!
//! With one vCPU nobody else ever has the lock, so nobody waits. With several, each has a thread of
//! the host's own, and whichever vCPU is free takes the thread of the program that has waited
//! longest. Of the vCPUs that have none, one *watches* the host for the events that threads wait
//! for, without the lock, and the others sleep. Who leaves work behind when the lock goes wakes one
//! of them.

use std::os::fd::AsFd as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, Scope};

use nix::libc;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::address_space::OtherProcessors as _;
use super::ending::{Ending, Stopped};
use super::error::{BootError, RunError};
use super::guest_mode::GuestMode;
use super::paused::Paused;
use super::phase::Phase;
use super::processor::{Next, Processor};
use super::scheduling::ending;
use super::shared::Shared;
use super::syscalls::Stop;
use super::time_slice;
use crate::confine::ConfineError;
use crate::kvm::KvmError;
use crate::kvm::exits::{ExitCounts, VmExit};

/// Confines the VMM, which has so many vCPUs.
pub type Confine<'a> = &'a dyn Fn(usize) -> Result<(), ConfineError>;

/// What several vCPUs need to reach each other.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) guest_mode: Arc<GuestMode>,
    /// Ends the wait of the vCPU that watches the host.
    bell: EventFd,
}

impl Links {
    /// The links between `count` vCPUs.
    pub(super) fn new(count: usize) -> Result<Self, BootError> {
        let bell = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC);
        Ok(Self {
            guest_mode: Arc::new(GuestMode::new(count)),
            bell: bell.map_err(BootError::Bell)?,
        })
    }
}

/// All vCPUs of a guest that runs.
pub(super) struct Vcpus<'a> {
    shared: Mutex<Shared<'a>>,
    /// Wakes a vCPU that sleeps.
    work: Condvar,
    /// `None` if there is but one vCPU.
    links: Option<&'a Links>,
    exits: &'a ExitCounts,
    on_phase: &'a (dyn Fn(Phase) + Sync),
}

type Lock<'l, 'a> = MutexGuard<'l, Shared<'a>>;

impl<'a> Vcpus<'a> {
    pub(super) fn new(
        shared: Shared<'a>,
        links: Option<&'a Links>,
        exits: &'a ExitCounts,
        on_phase: &'a (dyn Fn(Phase) + Sync),
    ) -> Self {
        Self {
            shared: Mutex::new(shared),
            work: Condvar::new(),
            links,
            exits,
            on_phase,
        }
    }

    /// Runs the program until it stops.
    ///
    /// # Panics
    /// Never: a vCPU stops only with the program.
    pub(super) fn run(
        self,
        processors: &mut [Processor],
        confine: Confine<'_>,
    ) -> Result<(Stopped, Option<Paused>), RunError> {
        let count = processors.len();
        if let Some((first, others)) = processors.split_first_mut() {
            thread::scope(|scope| {
                // Nobody enters the guest before all threads have started and are confined.
                let mut shared = self.lock(0);
                let started = self.start(scope, others);
                match started.and_then(|()| Ok(confine(count)?)) {
                    Ok(()) => (self.on_phase)(Phase::Load),
                    Err(error) => shared.finish(Err(error)),
                }
                if shared.personality.needs_slices() {
                    first.start_slices();
                }
                drop(shared);
                self.work(first, Next::Enter);
            });
        }
        let shared = self.shared.into_inner();
        let Shared { end, paused, .. } = shared.unwrap_or_else(PoisonError::into_inner);
        let stopped = end.expect("a vCPU has told how the program stopped");
        stopped.map(|stopped| (stopped, paused))
    }

    /// Starts a thread for each vCPU but the first. The threads wait for the lock. The start of a
    /// thread takes calls that the filter refuses.
    fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        others: &'scope mut [Processor],
    ) -> Result<(), RunError> {
        let Some(links) = self.links else {
            return Ok(());
        };
        allocate_in_one_arena();
        time_slice::catch_signal().map_err(|errno| RunError::Thread(errno.into()))?;
        links.guest_mode.take_vcpu(0);
        let (starting, started) = mpsc::channel::<()>();
        for processor in others {
            let starting = starting.clone();
            let run = move || {
                links.guest_mode.take_vcpu(processor.number);
                drop(starting);
                self.work(processor, Next::Idle);
            };
            let thread = thread::Builder::new().name("vcpu".to_owned());
            thread.spawn_scoped(scope, run).map_err(RunError::Thread)?;
        }
        drop(starting);
        // Nothing is ever sent: this ends when the last thread has dropped its end.
        let _ = started.recv();
        Ok(())
    }

    /// Runs threads of the program on one vCPU until the program has ended, and ends the other vCPUs.
    fn work(&self, processor: &mut Processor, next: Next) {
        let _end = EndOfAll {
            vcpus: self,
            number: processor.number,
        };
        if let Err(error) = self.serve(processor, next) {
            self.lock(processor.number).finish(Err(error));
        }
    }

    fn serve(&self, processor: &mut Processor, mut next: Next) -> Result<(), RunError> {
        let number = processor.number;
        let mut shared = self.lock(number);
        while !shared.is_over {
            next = match next {
                Next::Enter => {
                    processor.flush_translations(shared.memory)?;
                    let exit = self.enter(shared, processor)?;
                    self.exits.add(exit.reason());
                    shared = self.lock(number);
                    shared.tell_first_exit(self.on_phase);
                    if shared.is_over {
                        break;
                    }
                    processor.serve(&exit, &mut shared)?
                }
                Next::Idle => {
                    let slept;
                    (shared, slept) = self.sleep(shared, number);
                    match slept {
                        Ok(()) => processor.let_next_run(&mut shared)?,
                        Err(stop) => Next::End(ending(stop)?),
                    }
                }
                Next::Pause => {
                    shared.finish(Ok(Stopped::AtInput));
                    break;
                }
                Next::End(ending) => {
                    shared.finish(Ok(Stopped::Ended(ending)));
                    break;
                }
            };
            if shared.memory.is_exhausted() {
                // Linux would have killed the program, whatever it does now.
                next = Next::End(Ending::OutOfMemory);
            }
            shared.tell_output(self.on_phase);
        }
        Ok(())
    }

    /// Enters the guest without the lock, and returns its exit.
    fn enter(
        &self,
        mut shared: Lock<'_, 'a>,
        processor: &mut Processor,
    ) -> Result<VmExit, KvmError> {
        let Some(links) = self.links else {
            drop(shared);
            return processor.vcpu.run_interruptibly();
        };
        self.wake_others(&mut shared, links);
        links.guest_mode.enter(processor.number);
        drop(shared);
        let exit = processor.vcpu.run_interruptibly();
        links.guest_mode.leave(processor.number);
        exit
    }

    /// Sleeps until there may be something to do for a vCPU without a thread.
    fn sleep<'l>(
        &'l self,
        mut shared: Lock<'l, 'a>,
        number: usize,
    ) -> (Lock<'l, 'a>, Result<(), Stop>) {
        let watch = match shared.personality.sleep() {
            Ok(watch) => watch,
            Err(stop) => return (shared, Err(stop)),
        };
        if let Some(links) = self.links {
            links.call(&mut shared);
        }
        if shared.watched.is_some() {
            shared.sleepers += 1;
            let woken = self.work.wait(shared);
            let mut shared = woken.unwrap_or_else(PoisonError::into_inner);
            shared.sleepers -= 1;
            shared.personality.turn_to(number);
            return (shared, Ok(()));
        }
        shared.watched = Some(shared.personality.wishes());
        drop(shared);
        let events = watch.wait(self.links.map(|links| links.bell.as_fd()));
        let mut shared = self.lock(number);
        shared.watched = None;
        if std::mem::take(&mut shared.has_rung)
            && let Some(links) = self.links
        {
            // The bell rings until somebody has read it.
            let _ = links.bell.read();
        }
        let taken = shared.personality.take(&events);
        (shared, taken)
    }

    /// Lets other vCPUs do what this one, which is about to enter the guest, leaves behind.
    fn wake_others(&self, shared: &mut Shared<'_>, links: &Links) {
        let ready = shared.personality.ready_threads();
        let mut woken = ready.min(shared.sleepers);
        if shared.watched.is_none() && woken < shared.sleepers {
            // One of them has to watch the host.
            woken += 1;
        }
        (0..woken).for_each(|_| self.work.notify_one());
        if ready > woken {
            links.ring(shared);
        }
        links.call(shared);
    }

    /// Takes the lock for the vCPU of this number.
    fn lock(&self, number: usize) -> Lock<'_, 'a> {
        let shared = self.shared.lock();
        let mut shared = shared.unwrap_or_else(PoisonError::into_inner);
        shared.personality.turn_to(number);
        shared
    }
}

/// Lets all threads allocate in one place. For an arena of a thread's own the C library opens files
/// of `/proc` and `/sys`, which the filter refuses. Those who have the lock allocate, so nobody waits.
fn allocate_in_one_arena() {
    // SAFETY: the call changes how the allocator chooses an arena for a thread that has none yet.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

impl Links {
    /// Tells the others what this vCPU's calls mean for them: a signal for the thread that one runs,
    /// or more for which the host is to be watched.
    fn call(&self, shared: &mut Shared<'_>) {
        for number in shared.personality.called_processors() {
            self.guest_mode.call(number);
        }
        if shared
            .watched
            .is_some_and(|wishes| wishes != shared.personality.wishes())
        {
            self.ring(shared);
        }
    }

    /// Ends the wait of the vCPU that watches the host, if one does.
    fn ring(&self, shared: &mut Shared<'_>) {
        if shared.watched.is_some() && !std::mem::replace(&mut shared.has_rung, true) {
            // It can't fail: nobody adds 2^64 before it is read.
            let _ = self.bell.write(1);
        }
    }
}

/// Ends all vCPUs when one has ended, be it by a panic.
struct EndOfAll<'l, 'a> {
    vcpus: &'l Vcpus<'a>,
    number: usize,
}

impl Drop for EndOfAll<'_, '_> {
    fn drop(&mut self) {
        let Some(links) = self.vcpus.links else {
            return;
        };
        links.guest_mode.leave(self.number);
        let mut shared = self.vcpus.lock(self.number);
        shared.is_over = true;
        self.vcpus.work.notify_all();
        links.ring(&mut shared);
        links.guest_mode.stop();
    }
}
