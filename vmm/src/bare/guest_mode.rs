//! Which of several vCPUs run the guest, and how they are made to come out.
//!
//! A vCPU enters the guest while its thread holds no lock. Its mark "inside" is set by itself, under
//! the lock of all that the vCPUs share, and taken away by itself as soon as `KVM_RUN` has come
//! back. So whoever has the lock, and has seen every mark go, knows that no vCPU is in the guest and
//! that none gets there before the lock is free. That is what a change of the page tables needs
//! which takes something away:
//!
//! - No vCPU uses a page while its frame is made zero, or its entry is changed: all are outside.
//! - No vCPU uses an old translation afterwards: each forgets all of its own before it enters again
//!   (`Processor::flush_translations`). On software KVM the translations are KVM's, and the host's
//!   call that changes the frame's memory doesn't return before KVM has dropped them for all vCPUs
//!   (`GuestRam::drop_translations`).
//! - No mark of the processor's is lost, accessed or dirty: nobody else writes to an entry between
//!   the VMM's read and its write.
//!
//! A mapping that is added needs none of this, since a processor keeps no translation of a page that
//! is not present.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use nix::sys::pthread::{pthread_kill, pthread_self};

use super::address_space::OtherProcessors;
use super::time_slice;

/// The time after which a vCPU is asked again to come out. A signal that comes right before
/// `KVM_RUN` doesn't end it.
const PATIENCE: Duration = Duration::from_micros(100);

/// The marks of all vCPUs.
#[derive(Debug)]
pub(super) struct GuestMode {
    vcpus: Vec<Mark>,
    /// Whether somebody waits for vCPUs to come out, and who.
    is_awaited: AtomicBool,
    waiter: Mutex<Option<Thread>>,
}

/// The mark of one vCPU.
#[derive(Debug, Default)]
struct Mark {
    is_inside: AtomicBool,
    /// The host's thread (`pthread_t`).
    thread: AtomicU64,
}

impl GuestMode {
    /// All `count` vCPUs are outside.
    pub(super) fn new(count: usize) -> Self {
        Self {
            vcpus: (0..count).map(|_| Mark::default()).collect(),
            is_awaited: AtomicBool::new(false),
            waiter: Mutex::default(),
        }
    }

    /// Makes the calling thread the one that runs a vCPU.
    pub(super) fn take_vcpu(&self, number: usize) {
        let thread = &self.vcpus[number].thread;
        thread.store(pthread_self(), Ordering::Relaxed);
    }

    /// Notes that a vCPU is about to enter. The caller has the lock.
    pub(super) fn enter(&self, number: usize) {
        let mark = &self.vcpus[number].is_inside;
        mark.store(true, Ordering::SeqCst);
    }

    /// Notes that a vCPU has come out.
    pub(super) fn leave(&self, number: usize) {
        let mark = &self.vcpus[number].is_inside;
        mark.store(false, Ordering::SeqCst);
        if self.is_awaited.load(Ordering::SeqCst)
            && let Some(waiter) = &*self.waiter.lock().unwrap_or_else(PoisonError::into_inner)
        {
            waiter.unpark();
        }
    }

    /// Makes a vCPU come out, if it is inside. It may go in before it has heard.
    pub(super) fn call(&self, number: usize) {
        let Mark { is_inside, thread } = &self.vcpus[number];
        if is_inside.load(Ordering::SeqCst) {
            // The thread has not ended, since the vCPU is inside.
            let _ = pthread_kill(thread.load(Ordering::Relaxed), time_slice::SIGNAL);
        }
    }

    fn is_inside(&self, number: usize) -> bool {
        self.vcpus[number].is_inside.load(Ordering::SeqCst)
    }
}

impl OtherProcessors for GuestMode {
    /// Waits until no vCPU is inside. The caller has the lock, and is outside.
    fn stop(&self) {
        let numbers = 0..self.vcpus.len();
        if !numbers.clone().any(|number| self.is_inside(number)) {
            return;
        }
        let waiter = Some(thread::current());
        *self.waiter.lock().unwrap_or_else(PoisonError::into_inner) = waiter;
        self.is_awaited.store(true, Ordering::SeqCst);
        numbers.clone().for_each(|number| self.call(number));
        for number in numbers {
            while self.is_inside(number) {
                thread::park_timeout(PATIENCE);
                self.call(number);
            }
        }
        self.is_awaited.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn who_stops_the_others_waits_until_each_has_come_out() {
        const OTHERS: usize = 3;
        let guest_mode = Arc::new(GuestMode::new(1 + OTHERS));
        let (inside, outside) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for number in 1..=OTHERS {
                let (guest_mode, inside, outside) = (&guest_mode, &inside, &outside);
                scope.spawn(move || {
                    time_slice::catch_signal().unwrap();
                    guest_mode.take_vcpu(number);
                    guest_mode.enter(number);
                    inside.fetch_add(1, Ordering::SeqCst);
                    // A signal that comes before the pause does not end it, and must be sent again.
                    thread::sleep(Duration::from_millis(2));
                    nix::unistd::pause();
                    outside.fetch_add(1, Ordering::SeqCst);
                    guest_mode.leave(number);
                });
            }
            while inside.load(Ordering::SeqCst) < OTHERS {
                thread::yield_now();
            }
            guest_mode.stop();
            assert_eq!(outside.load(Ordering::SeqCst), OTHERS);
            // Nobody is left: there is nothing to wait for.
            guest_mode.stop();
        });
    }
}
