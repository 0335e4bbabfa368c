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
    /// The vector registers, unless the only processor still holds them.
    extended: Option<ExtendedState>,
    /// The processor that the thread had last, unless the thread is new.
    last: Option<usize>,
}

/// The registers of all threads that don't have a processor.
#[derive(Debug)]
pub(super) struct Contexts {
    saved: BTreeMap<ThreadId, Context>,
    /// Whether a thread may leave one processor and go on with another.
    move_about: bool,
}

/// Whose registers a processor holds.
#[derive(Debug)]
pub(super) struct Held {
    /// The processor's number.
    number: usize,
    /// The thread whose vector registers the processor holds, unless the thread has ended.
    extended_of: Option<ThreadId>,
    /// The bases of FS and GS.
    bases: (u64, u64),
}

impl Held {
    /// The registers of a processor before the program's start. The first one has the first thread.
    pub(super) const fn new(number: usize) -> Self {
        let extended_of = if number == 0 {
            Some(ThreadId::FIRST)
        } else {
            None
        };
        Self {
            number,
            extended_of,
            bases: (0, 0),
        }
    }

    /// The registers of a new first processor, which has the first thread with these bases.
    pub(super) const fn with_bases(bases: (u64, u64)) -> Self {
        let mut held = Self::new(0);
        held.bases = bases;
        held
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
    /// The registers of a program whose only thread has the first of `processors`.
    pub(super) const fn new(processors: usize) -> Self {
        Self {
            saved: BTreeMap::new(),
            move_about: processors > 1,
        }
    }

    /// Saves the registers of a thread that leaves the processor. Its vector registers stay there
    /// until another thread comes, if there is no other processor.
    pub(super) fn save(
        &mut self,
        vcpu: &Vcpu,
        held: &Held,
        thread: ThreadId,
        general: kvm_regs,
    ) -> Result<(), KvmError> {
        let extended = if self.move_about {
            Some(vcpu.extended_state()?)
        } else {
            None
        };
        let context = Context {
            general,
            extended,
            last: Some(held.number),
        };
        self.saved.insert(thread, context);
        Ok(())
    }

    /// Adds a thread that starts with these general registers, and with the vector registers that
    /// the processor holds.
    pub(super) fn add(
        &mut self,
        vcpu: &Vcpu,
        thread: ThreadId,
        general: kvm_regs,
    ) -> Result<(), KvmError> {
        let context = Context {
            general,
            extended: Some(vcpu.extended_state()?),
            last: None,
        };
        self.saved.insert(thread, context);
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
        let context = self.saved.remove(&thread);
        let last = context.as_ref().and_then(|context| context.last);
        if held.extended_of != Some(thread) || last != Some(held.number) {
            let leaving = held
                .extended_of
                .and_then(|leaving| self.saved.get_mut(&leaving));
            if let Some(leaving) = leaving.filter(|leaving| leaving.extended.is_none()) {
                leaving.extended = Some(vcpu.extended_state()?);
            }
            if let Some(extended) = context.as_ref().and_then(|it| it.extended.as_ref()) {
                vcpu.set_extended_state(extended)?;
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
        Ok(context.map_or_else(|| vcpu.registers(), |context| context.general))
    }
}
