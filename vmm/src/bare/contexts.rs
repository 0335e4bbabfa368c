//! The registers of the threads that don't have the processor.

use std::collections::BTreeMap;

use kvm_bindings::kvm_regs;

use super::registers;
use super::syscalls::ThreadId;
use super::time_slice::TimeSlices;
use crate::kvm::extended_state::ExtendedState;
use crate::kvm::{KvmError, Vcpu};

/// A thread's registers, as they are in ring 3.
#[derive(Debug)]
struct Context {
    general: kvm_regs,
    /// The vector registers, unless the processor still holds them.
    extended: Option<ExtendedState>,
}

/// The registers of all threads, and whose the processor holds.
#[derive(Debug)]
pub(super) struct Contexts {
    saved: BTreeMap<ThreadId, Context>,
    /// The thread whose vector registers the processor holds, unless the thread has ended.
    extended_of: Option<ThreadId>,
    /// The bases of FS and GS that the processor holds.
    bases: (u64, u64),
    /// The timer, from the second thread or the first timer of the program's on.
    slices: Option<TimeSlices>,
}

impl Contexts {
    /// The registers of a program whose only thread has the processor.
    pub(super) const fn new() -> Self {
        Self {
            saved: BTreeMap::new(),
            extended_of: Some(ThreadId::FIRST),
            bases: (0, 0),
            slices: None,
        }
    }

    /// Notes that the processor has got other bases.
    pub(super) const fn set_bases(&mut self, bases: (u64, u64)) {
        self.bases = bases;
    }

    /// Saves the general registers of a thread that leaves the processor.
    pub(super) fn save(&mut self, thread: ThreadId, general: kvm_regs) {
        let extended = None;
        self.saved.insert(thread, Context { general, extended });
    }

    /// Adds a thread that starts with these general registers, and with the vector registers that
    /// the processor holds.
    pub(super) fn add(
        &mut self,
        vcpu: &Vcpu,
        thread: ThreadId,
        general: kvm_regs,
    ) -> Result<(), KvmError> {
        let extended = Some(vcpu.extended_state()?);
        self.saved.insert(thread, Context { general, extended });
        self.start_slices();
        Ok(())
    }

    /// Starts the time slices, unless they have started.
    pub(super) fn start_slices(&mut self) {
        if self.slices.is_none() {
            // Without a timer the threads run all the same, as long as each of them waits now and
            // then.
            self.slices = TimeSlices::start().ok();
        }
    }

    /// Notes that the thread has ended that had the processor. Another one may get its number.
    pub(super) const fn end(&mut self) {
        self.extended_of = None;
    }

    /// Gives the processor the vector registers and the segment bases of a thread, and returns the
    /// thread's general registers.
    pub(super) fn load(
        &mut self,
        vcpu: &Vcpu,
        thread: ThreadId,
        bases: (u64, u64),
    ) -> Result<kvm_regs, KvmError> {
        if self.extended_of != Some(thread) {
            let leaving = self
                .extended_of
                .and_then(|leaving| self.saved.get_mut(&leaving));
            if let Some(leaving) = leaving {
                leaving.extended = Some(vcpu.extended_state()?);
            }
            let extended = self.saved.get_mut(&thread);
            if let Some(extended) = extended.and_then(|context| context.extended.take()) {
                vcpu.set_extended_state(&extended)?;
            }
            self.extended_of = Some(thread);
        }
        if self.bases != bases {
            let values = [
                (registers::MSR_FS_BASE, bases.0),
                (registers::MSR_GS_BASE, bases.1),
            ];
            vcpu.set_msr_values(&values)?;
            self.bases = bases;
        }
        let context = self.saved.remove(&thread);
        Ok(context.map_or_else(|| vcpu.registers(), |context| context.general))
    }
}
