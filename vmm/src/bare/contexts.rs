//! The registers of the threads that don't have a processor.

use std::collections::BTreeMap;

use kvm_bindings::kvm_regs;

use super::registers;
use super::syscalls::ThreadId;
use crate::kvm::extended_state::ExtendedState;
use crate::kvm::{KvmError, Vcpu};

/// A thread's registers, as they are in ring 3.
#[derive(Debug)]
struct Context {
    general: kvm_regs,
    /// The vector registers, unless the processor still holds them.
    extended: Option<ExtendedState>,
}

/// The registers of all threads that don't have a processor.
#[derive(Debug, Default)]
pub(super) struct Contexts(BTreeMap<ThreadId, Context>);

/// Whose registers a processor holds.
#[derive(Debug)]
pub(super) struct Held {
    /// The thread whose vector registers the processor holds, unless the thread has ended.
    extended_of: Option<ThreadId>,
    /// The bases of FS and GS.
    bases: (u64, u64),
}

impl Held {
    /// The registers of a program whose only thread has the processor.
    pub(super) const fn new() -> Self {
        Self {
            extended_of: Some(ThreadId::FIRST),
            bases: (0, 0),
        }
    }

    /// Notes that the processor has got other bases.
    pub(super) const fn set_bases(&mut self, bases: (u64, u64)) {
        self.bases = bases;
    }

    /// Notes that the thread has ended that had the processor. Another one may get its number.
    pub(super) const fn end(&mut self) {
        self.extended_of = None;
    }
}

impl Contexts {
    /// Saves the general registers of a thread that leaves the processor.
    pub(super) fn save(&mut self, thread: ThreadId, general: kvm_regs) {
        let extended = None;
        self.0.insert(thread, Context { general, extended });
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
        self.0.insert(thread, Context { general, extended });
        Ok(())
    }

    /// Gives the processor the vector registers and the segment bases of a thread, and returns the
    /// thread's general registers.
    pub(super) fn load(
        &mut self,
        vcpu: &Vcpu,
        held: &mut Held,
        thread: ThreadId,
        bases: (u64, u64),
    ) -> Result<kvm_regs, KvmError> {
        if held.extended_of != Some(thread) {
            let leaving = held
                .extended_of
                .and_then(|leaving| self.0.get_mut(&leaving));
            if let Some(leaving) = leaving {
                leaving.extended = Some(vcpu.extended_state()?);
            }
            let extended = self.0.get_mut(&thread);
            if let Some(extended) = extended.and_then(|context| context.extended.take()) {
                vcpu.set_extended_state(&extended)?;
            }
            held.extended_of = Some(thread);
        }
        if held.bases != bases {
            let values = [
                (registers::MSR_FS_BASE, bases.0),
                (registers::MSR_GS_BASE, bases.1),
            ];
            vcpu.set_msr_values(&values)?;
            held.bases = bases;
        }
        let context = self.0.remove(&thread);
        Ok(context.map_or_else(|| vcpu.registers(), |context| context.general))
    }
}
