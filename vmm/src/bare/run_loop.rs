//! Running a bare guest: entering the program, and serving its exits until it ends.

use bytesize::ByteSize;
use kvm_bindings::kvm_regs;

use super::address_space::Touch;
use super::contexts::Contexts;
use super::ending::{Ending, Stopped};
use super::error::RunError;
use super::exception::Death;
use super::faults::signal_of;
use super::layout::SYSTEM_CALL_PORT;
use super::loader;
use super::microvm::MicroVm;
use super::paused::Paused;
use super::phase::Phase;
use super::processor::{Next, Processor};
use super::registers;
use super::resume::Exception;
use super::scheduling::ending;
use super::shared::Shared;
use super::syscalls::{CallEffect, NewThread, Personality, SystemCall};
use super::time_slice::TimeSlices;
use super::trampoline;
use super::vcpus::{Confine, Vcpus};
use super::vsyscall::VsyscallEntry;
use crate::kvm::exits::{ExitCounts, VmExit};
use crate::kvm::{KvmError, KvmKind};

/// The first calls of a C library (`brk`) and of Go's runtime (`arch_prctl`). A program without a
/// runtime makes neither.
const WARMING: [u64; 2] = [
    libc::SYS_brk.cast_unsigned(),
    libc::SYS_arch_prctl.cast_unsigned(),
];

impl MicroVm {
    /// The number of the guest's exits so far, by reason.
    pub const fn exits(&self) -> &ExitCounts {
        &self.exits
    }

    /// The last memory that the program asked for and that no such guest could have, if there was
    /// any.
    pub fn refused_memory(&self) -> Option<ByteSize> {
        self.memory.refused().map(ByteSize)
    }

    /// Confines the VMM, and runs the program to its end. `on_phase` is called at the end of each
    /// phase.
    ///
    /// # Errors
    /// See [`RunError`].
    ///
    /// # Panics
    /// Never: only [`MicroVm::run_to_input`] stops the program before.
    pub fn run(
        &mut self,
        personality: &mut Personality,
        confine: Confine<'_>,
        on_phase: &(dyn Fn(Phase) + Sync),
    ) -> Result<Ending, RunError> {
        match self.run_until(false, personality, confine, on_phase)? {
            Stopped::Ended(ending) => Ok(ending),
            Stopped::AtInput => unreachable!("nothing else stops the program"),
        }
    }

    /// The same, but stops the program where it first asks for input, if it does.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn run_to_input(
        &mut self,
        personality: &mut Personality,
        confine: Confine<'_>,
        on_phase: &(dyn Fn(Phase) + Sync),
    ) -> Result<Stopped, RunError> {
        self.run_until(true, personality, confine, on_phase)
    }

    fn run_until(
        &mut self,
        pauses_at_input: bool,
        personality: &mut Personality,
        confine: Confine<'_>,
        on_phase: &(dyn Fn(Phase) + Sync),
    ) -> Result<Stopped, RunError> {
        if let Some(parts) = self.parts.take() {
            personality.set_parts(parts);
        }
        personality.set_processors(self.processors.len());
        let contexts = Contexts::new(self.processors.len());
        let mut shared = Shared::new(personality, &mut self.memory, contexts, self.cold.take());
        shared.pauses_at_input = pauses_at_input;
        let vcpus = Vcpus::new(shared, self.links.as_ref(), &self.exits, on_phase);
        let (stopped, paused) = vcpus.run(&mut self.processors, confine)?;
        self.paused = paused;
        if matches!(stopped, Stopped::Ended(_)) {
            on_phase(Phase::Exit);
            personality.end_network();
        }
        Ok(stopped)
    }
}

impl Processor {
    /// Serves one exit.
    pub(super) fn serve(
        &mut self,
        exit: &VmExit,
        shared: &mut Shared<'_>,
    ) -> Result<Next, RunError> {
        match *exit {
            VmExit::PortWrite(port) if port == u16::from(SYSTEM_CALL_PORT) => {
                self.serve_call(shared)
            }
            VmExit::Interrupted => self.serve_interruption(shared),
            _ => self.serve_exception(exit, shared),
        }
    }

    /// Serves one system call.
    fn serve_call(&mut self, shared: &mut Shared<'_>) -> Result<Next, RunError> {
        let mut registers = self.vcpu.registers();
        // On software KVM the stub runs in ring 3, so the VMM returns from the call: to RCX, with
        // the flags of R11.
        let returns = self.vcpu.kind() == KvmKind::Software;
        if returns && !trampoline::is_system_call_stub(registers.rip) {
            return Ok(Next::End(Ending::Died(Death::port_access(registers.rip))));
        }
        let call = system_call(&registers);
        if shared.pauses_at_input && shared.personality.asks_for_input(&call) {
            return self.pause(after_call(&registers), shared);
        }
        self.warm_code_once(call.number, shared);
        match shared.personality.call(&call, shared.memory) {
            CallEffect::Return(value) => registers.rax = value.cast_unsigned(),
            CallEffect::SetFsBase(base) => {
                registers.rax = self.set_base(registers::MSR_FS_BASE, base, shared.personality)?;
            }
            CallEffect::SetGsBase(base) => {
                registers.rax = self.set_base(registers::MSR_GS_BASE, base, shared.personality)?;
            }
            CallEffect::Exit(code) => return Ok(Next::End(Ending::Exited(code))),
            CallEffect::Signal(signal) => return Ok(Next::End(Ending::Signalled(signal))),
            CallEffect::NewThread(new) => {
                registers.rax = self.start_thread(new, &registers, shared)?;
            }
            CallEffect::Wait => {}
            CallEffect::EndThread => {
                self.held.end();
                self.leave_ring0()?;
                return self.let_next_run(shared);
            }
            CallEffect::EndHandler => {
                return self.end_handler(after_call(&registers), shared);
            }
        }
        if shared.personality.wants_look() {
            self.leave_ring0()?;
            return self.let_run(after_call(&registers), shared);
        }
        let next = if returns {
            after_call(&registers)
        } else {
            registers
        };
        self.vcpu.set_registers(&next);
        Ok(Next::Enter)
    }

    /// Stops the program before the call that it is about to make. `after_call` are the registers
    /// that the call would leave behind.
    fn pause(&self, after_call: kvm_regs, shared: &mut Shared<'_>) -> Result<Next, RunError> {
        match shared.personality.thread_count() {
            1 => {}
            threads => return Err(RunError::TemplateThreads { threads }),
        }
        let bases = shared.personality.segment_bases();
        shared.paused = Some(Paused::before_call(&self.vcpu, after_call, bases)?);
        Ok(Next::Pause)
    }

    /// Sets a segment's base, and returns the value of RAX for the system call.
    fn set_base(
        &mut self,
        msr: u32,
        base: u64,
        personality: &Personality,
    ) -> Result<u64, KvmError> {
        self.held.set_bases(personality.segment_bases());
        self.vcpu.set_msr(msr, base).map(|()| 0)
    }

    /// Starts a thread with the registers of its parent, whose call returns the thread's number.
    fn start_thread(
        &mut self,
        new: NewThread,
        parent: &kvm_regs,
        shared: &mut Shared<'_>,
    ) -> Result<u64, KvmError> {
        let parent = after_call(parent);
        let child = kvm_regs {
            rax: 0,
            rsp: if new.stack == 0 {
                parent.rsp
            } else {
                new.stack
            },
            ..parent
        };
        shared.contexts.add(&self.vcpu, new.id, child)?;
        self.start_slices();
        Ok(new.id.number())
    }

    /// Makes the program's code ready at the first call of a language's runtime, if a fault is dear:
    /// see [`loader::warm_code`].
    fn warm_code_once(&self, call: u64, shared: &mut Shared<'_>) {
        if WARMING.contains(&call)
            && self.vcpu.kind() == KvmKind::Software
            && let Some(program) = shared.cold.take()
        {
            loader::warm_code(shared.memory, &program);
        }
    }

    /// A signal to the VMM came: at the end of a time slice another thread runs, and a signal that
    /// another vCPU has sent to this one's thread arrives.
    fn serve_interruption(&mut self, shared: &mut Shared<'_>) -> Result<Next, RunError> {
        let registers = self.vcpu.registers();
        // In the trampoline the thread is on its way into the VMM.
        if trampoline::is_inside(registers.rip) {
            return Ok(Next::Enter);
        }
        if TimeSlices::is_over()
            && let Err(stop) = shared.personality.look_around()
        {
            return ending(stop).map(Next::End);
        }
        if shared.personality.wants_look() {
            return self.let_run(registers, shared);
        }
        Ok(Next::Enter)
    }

    /// Serves an exit that is no system call: the first touch of a page, an exception of which a
    /// handler is told, or the end of the program.
    fn serve_exception(
        &mut self,
        exit: &VmExit,
        shared: &mut Shared<'_>,
    ) -> Result<Next, RunError> {
        let Some(exception) = Exception::take(exit, &mut self.vcpu, shared.memory)? else {
            return self.last_exit(exit).map(Next::End);
        };
        let touched = exception
            .refused_access()
            .map(|access| shared.memory.touch(exception.fault_address, access));
        match touched {
            Some(Touch::Given) => {
                return Ok(Next::Enter);
            }
            Some(Touch::Exhausted) => return Ok(Next::End(Ending::OutOfMemory)),
            Some(Touch::NotAllowed) | None => {}
        }
        if self.serve_vsyscall(&exception, shared) {
            return Ok(Next::Enter);
        }
        let (info, trap) = signal_of(&exception, shared.memory, &self.vcpu)?;
        if exception.frame.is_from_ring3() && shared.personality.fault(info, trap) {
            return self.let_run(self.vcpu.registers(), shared);
        }
        Ok(Next::End(Ending::Died(exception.death())))
    }

    /// Serves a call of the vsyscall page, if `exception` is one and the program may write where the
    /// call's answer goes. If not, Linux sends `SIGSEGV` too.
    fn serve_vsyscall(&mut self, exception: &Exception, shared: &mut Shared<'_>) -> bool {
        let registers = self.vcpu.registers();
        let Some(entry) = VsyscallEntry::of(exception, &registers, shared.memory) else {
            return false;
        };
        let effect = shared.personality.call(&entry.call, shared.memory);
        match effect {
            CallEffect::Return(value) if value != -i64::from(libc::EFAULT) => {
                self.vcpu.set_registers(&entry.returned(value, &registers));
                true
            }
            _ => false,
        }
    }

    /// How an exit that is neither a system call nor an exception ends the program.
    fn last_exit(&self, exit: &VmExit) -> Result<Ending, RunError> {
        let rip = self.vcpu.registers().rip;
        match exit {
            VmExit::PortWrite(_) | VmExit::PortRead(_) => Ok(Ending::Died(Death::port_access(rip))),
            other => Err(RunError::Stopped {
                rip,
                what: other.to_string(),
            }),
        }
    }
}

fn system_call(registers: &kvm_regs) -> SystemCall {
    SystemCall {
        number: registers.rax,
        arguments: [
            registers.rdi,
            registers.rsi,
            registers.rdx,
            registers.r10,
            registers.r8,
            registers.r9,
        ],
    }
}

/// The registers in ring 3 after a system call: `SYSCALL` has kept the address and the flags in RCX
/// and R11.
const fn after_call(registers: &kvm_regs) -> kvm_regs {
    kvm_regs {
        rip: registers.rcx,
        rflags: registers::user_flags(registers.r11),
        ..*registers
    }
}
