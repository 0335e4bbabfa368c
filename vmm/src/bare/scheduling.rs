//! Which thread of the program runs next, and which signals reach the thread before it does.

use kvm_bindings::kvm_regs;
use nix::errno::Errno;
use nix::libc;

use super::ending::Ending;
use super::error::RunError;
use super::exception::Signal;
use super::processor::{Next, Processor};
use super::registers::{self, SYSCALL};
use super::shared::Shared;
use super::signal_frame::{self, Restored};
use super::syscalls::{Arrival, Delivery, Resume, Stop, stack_from_bytes};
use crate::kvm::{KvmError, KvmKind};

/// How a handler's frame that is none ends a program.
const BAD_FRAME: Ending = Ending::Signalled(Signal::Segmentation.number());

impl Processor {
    /// Lets the next thread run, after the one that has the processor, whose registers in ring 3 are
    /// `current`.
    pub(super) fn let_run(
        &mut self,
        current: kvm_regs,
        shared: &mut Shared<'_>,
    ) -> Result<Next, RunError> {
        let thread = shared.personality.thread();
        shared
            .contexts
            .save(&self.vcpu, &self.held, thread, current)?;
        self.let_next_run(shared)
    }

    /// Lets the next thread run, if one can. The registers of the others are saved.
    pub(super) fn let_next_run(&mut self, shared: &mut Shared<'_>) -> Result<Next, RunError> {
        let Shared {
            personality,
            memory,
            contexts,
            ..
        } = shared;
        if personality.needs_slices() {
            self.start_slices();
        }
        let Some((thread, resume)) = personality.choose_thread() else {
            return Ok(Next::Idle);
        };
        let bases = personality.segment_bases();
        let mut registers = contexts.load(&self.vcpu, &mut self.held, thread, bases)?;
        let mut interrupted = None;
        match resume {
            Resume::GoOn => {}
            Resume::Return(value) => registers.rax = value.cast_unsigned(),
            Resume::CallAgain => registers.rip = registers.rip.wrapping_sub(SYSCALL),
            Resume::Interrupted { may_restart } => interrupted = Some(may_restart),
        }
        while let Some(arrival) = personality.next_arrival() {
            let delivery = match arrival {
                Arrival::Kills(signal) => return Ok(Next::End(Ending::Signalled(signal))),
                Arrival::Runs(delivery) => delivery,
            };
            if let Some(may_restart) = interrupted.take() {
                personality.end_interrupted_call(memory);
                interrupt_call(&mut registers, may_restart, &delivery);
            }
            let extended = self.vcpu.extended_state()?;
            let pushed = signal_frame::push(memory, &registers, &extended, &delivery);
            match pushed {
                Ok(handler) => registers = handler,
                Err(signal_frame::BadFrame) => return Ok(Next::End(BAD_FRAME)),
            }
        }
        if interrupted.is_some() {
            // No handler ran: the call goes on.
            registers.rip = registers.rip.wrapping_sub(SYSCALL);
        }
        self.vcpu.set_registers(&registers);
        Ok(Next::Enter)
    }

    /// Brings back what a signal's handler interrupted. `current` are the registers at the handler's
    /// end.
    pub(super) fn end_handler(
        &mut self,
        current: kvm_regs,
        shared: &mut Shared<'_>,
    ) -> Result<Next, RunError> {
        let Ok(restored) = signal_frame::pop(shared.memory, &current) else {
            return Ok(Next::End(BAD_FRAME));
        };
        let Restored {
            registers,
            extended,
            blocked,
            stack,
        } = restored;
        // KVM refuses a state that the processor would refuse.
        if self.vcpu.set_extended_state(&extended).is_err() {
            return Ok(Next::End(BAD_FRAME));
        }
        shared
            .personality
            .end_handler(blocked, stack_from_bytes(&stack));
        self.leave_ring0()?;
        self.let_run(registers, shared)
    }

    /// Brings the vCPU to ring 3 without the system-call stub's `sysretq`, since the registers will
    /// be those of another place in the program. Only on hardware KVM is the stub in ring 0.
    pub(super) fn leave_ring0(&self) -> Result<(), KvmError> {
        if self.vcpu.kind() == KvmKind::Software {
            return Ok(());
        }
        let mut system = self.vcpu.system_registers()?;
        registers::enter_ring3(&mut system);
        self.vcpu.set_system_registers(&system)
    }
}

/// How a program ends of which no thread will run again.
pub(super) fn ending(stop: Stop) -> Result<Ending, RunError> {
    match stop {
        Stop::Deadlock => Err(RunError::Deadlock),
        Stop::Killed(signal) => Ok(Ending::Signalled(signal)),
    }
}

/// Ends a call that a handler interrupts: with `EINTR`, or so that the call is made again after the
/// handler.
fn interrupt_call(registers: &mut kvm_regs, may_restart: bool, delivery: &Delivery) {
    if may_restart && delivery.action.has(libc::SA_RESTART) {
        registers.rip = registers.rip.wrapping_sub(SYSCALL);
    } else {
        registers.rax = (-i64::from(Errno::EINTR as i32)).cast_unsigned();
    }
}
