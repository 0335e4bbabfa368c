//! One virtual processor.

use super::address_space::AddressSpace;
use super::contexts::Held;
use super::ending::Ending;
use super::time_slice::TimeSlices;
use crate::kvm::{KvmError, KvmKind, Vcpu};

/// A vCPU, with what it alone has.
#[derive(Debug)]
pub(super) struct Processor {
    pub(super) vcpu: Vcpu,
    /// The vCPU's number, from 0 on.
    pub(super) number: usize,
    pub(super) held: Held,
    /// The timer, from the program's second thread or its first timer on.
    slices: Option<TimeSlices>,
    /// The number of times that translations had been taken away when the vCPU last forgot all.
    flushed: u64,
}

/// What a vCPU does after an exit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The vCPU enters the guest again.
    Enter,
    /// No thread can run.
    Idle,
    /// The program has stopped where it asks for input.
    Pause,
    /// The program has ended.
    End(Ending),
}

impl Processor {
    pub(super) const fn new(vcpu: Vcpu, number: usize) -> Self {
        Self {
            vcpu,
            number,
            held: Held::new(number),
            slices: None,
            flushed: 0,
        }
    }

    /// Starts the time slices, unless they have started.
    pub(super) fn start_slices(&mut self) {
        if self.slices.is_none() {
            // Without a timer the threads run all the same, as long as each of them waits now and
            // then.
            self.slices = TimeSlices::start().ok();
        }
    }

    /// Forgets the timer of another process: a child has none of its parent's (fork(2)).
    pub(super) fn forget_slices(&mut self) {
        std::mem::forget(self.slices.take());
    }

    /// Makes the vCPU forget translations that were taken away, before it enters the guest.
    pub(super) fn flush_translations(&mut self, memory: &AddressSpace) -> Result<(), KvmError> {
        let taken_away = memory.stale_translations();
        if self.flushed == taken_away {
            return Ok(());
        }
        self.flushed = taken_away;
        match self.vcpu.kind() {
            KvmKind::Hardware => self.vcpu.flush_translations(),
            // The MMU notifier has dropped them: see `GuestRam::drop_translations`.
            KvmKind::Software => Ok(()),
        }
    }
}
