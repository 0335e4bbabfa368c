//! A program that was stopped where it first asks for input, and how it goes on in another VM.
//!
//! A process can't share a VM with its child: KVM serves the process alone that made the VM ("The
//! Definitive KVM API Documentation" of Linux, section 2). Guest memory is ordinary memory of the
//! VMM's, though, so fork(2) gives the child a copy-on-write image of all that the program has made
//! so far. The child makes a VM of its own around that memory, with the registers that are kept here.

use kvm_bindings::kvm_regs;

use super::contexts::Held;
use super::processor::Processor;
use super::registers::{self, SYSCALL};
use crate::kvm::extended_state::ExtendedState;
use crate::kvm::{KvmError, Vcpu};

/// The registers of a program's only thread, at the system call by which the program asks for input.
#[derive(Debug)]
pub(super) struct Paused {
    general: kvm_regs,
    extended: ExtendedState,
    /// The bases of FS and GS.
    bases: (u64, u64),
}

/// The general registers as a snapshot keeps them: RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP, R8 to R15,
/// RIP, RFLAGS.
pub(super) type SavedRegisters = [u64; 18];

impl Paused {
    /// The general registers for a snapshot.
    pub(super) fn saved_registers(&self) -> SavedRegisters {
        let it = &self.general;
        [
            it.rax, it.rbx, it.rcx, it.rdx, it.rsi, it.rdi, it.rsp, it.rbp, it.r8, it.r9, it.r10,
            it.r11, it.r12, it.r13, it.r14, it.r15, it.rip, it.rflags,
        ]
    }

    /// The floating-point and vector registers for a snapshot.
    pub(super) fn extended_bytes(&self) -> Vec<u8> {
        self.extended.to_bytes()
    }

    /// The registers that a snapshot has kept.
    pub(super) fn from_saved(saved: &SavedRegisters, extended: &[u8], bases: (u64, u64)) -> Self {
        let [
            rax,
            rbx,
            rcx,
            rdx,
            rsi,
            rdi,
            rsp,
            rbp,
            r8,
            r9,
            r10,
            r11,
            r12,
            r13,
            r14,
            r15,
            rip,
            rflags,
        ] = *saved;
        Self {
            general: kvm_regs {
                rax,
                rbx,
                rcx,
                rdx,
                rsi,
                rdi,
                rsp,
                rbp,
                r8,
                r9,
                r10,
                r11,
                r12,
                r13,
                r14,
                r15,
                rip,
                rflags: registers::user_flags(rflags),
            },
            extended: ExtendedState::from_bytes(extended),
            bases,
        }
    }

    /// The registers of a thread that is about to make a call again. `after_call` are the general
    /// registers that the call would leave behind.
    pub(super) fn before_call(
        vcpu: &Vcpu,
        after_call: kvm_regs,
        bases: (u64, u64),
    ) -> Result<Self, KvmError> {
        Ok(Self {
            general: kvm_regs {
                rip: after_call.rip.wrapping_sub(SYSCALL),
                ..after_call
            },
            extended: vcpu.extended_state()?,
            bases,
        })
    }

    /// Gives a new processor the program's registers.
    pub(super) fn restore(&self, processor: &mut Processor, root: u64) -> Result<(), KvmError> {
        let kind = processor.vcpu.kind();
        let Self { general, bases, .. } = self;
        let mut start = registers::at_entry(kind, 0, root, general.rip, general.rsp);
        start.general = *general;
        start.system.fs.base = bases.0;
        start.system.gs.base = bases.1;
        processor.vcpu.set_start(&start)?;
        processor.vcpu.set_extended_state(&self.extended)?;
        processor.held = Held::with_bases(*bases);
        Ok(())
    }
}
