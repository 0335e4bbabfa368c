//! Running a bare guest: entering the program, and serving its exits until it ends.

use bytesize::ByteSize;
use kvm_bindings::kvm_regs;

use super::address_space::Touch;
use super::ending::Ending;
use super::error::RunError;
use super::exception::Death;
use super::faults::signal_of;
use super::layout::SYSTEM_CALL_PORT;
use super::loader;
use super::microvm::MicroVm;
use super::phase::Phase;
use super::registers;
use super::resume::Exception;
use super::scheduling::ending;
use super::syscalls::{CallEffect, NewThread, Personality, SystemCall};
use super::time_slice::TimeSlices;
use super::trampoline;
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

    /// Runs the program to its end. `on_phase` is called at the end of each phase.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn run(
        &mut self,
        personality: &mut Personality,
        on_phase: &dyn Fn(Phase),
    ) -> Result<Ending, RunError> {
        personality.set_parts(std::mem::take(&mut self.parts));
        let mut next_phase = Some(Phase::FirstExit);
        loop {
            let exit = self.vcpu.run_interruptibly()?;
            self.exits.add(exit.reason());
            if next_phase == Some(Phase::FirstExit) {
                on_phase(Phase::FirstExit);
                next_phase = Some(Phase::Ready);
            }
            let ending = self.serve(&exit, personality)?;
            if let Some(ending) = self.out_of_memory().or(ending) {
                on_phase(Phase::Exit);
                personality.end_network();
                return Ok(ending);
            }
            if next_phase == Some(Phase::Ready) && personality.has_written_output() {
                on_phase(Phase::Ready);
                next_phase = None;
            }
        }
    }

    /// How a program ends that touched a page for which there was no frame.
    fn out_of_memory(&self) -> Option<Ending> {
        self.memory.is_exhausted().then_some(Ending::OutOfMemory)
    }

    /// Serves one exit. After the last exit, the result is how the program ended.
    fn serve(
        &mut self,
        exit: &VmExit,
        personality: &mut Personality,
    ) -> Result<Option<Ending>, RunError> {
        match *exit {
            VmExit::PortWrite(port) if port == u16::from(SYSTEM_CALL_PORT) => {
                self.serve_call(personality)
            }
            VmExit::Interrupted => self.serve_interruption(personality),
            _ => self.serve_exception(exit, personality),
        }
    }

    /// Serves one system call.
    fn serve_call(&mut self, personality: &mut Personality) -> Result<Option<Ending>, RunError> {
        let mut registers = self.vcpu.registers();
        // On software KVM the stub runs in ring 3, so the VMM returns from the call: to RCX, with
        // the flags of R11.
        let returns = self.vcpu.kind() == KvmKind::Software;
        if returns && !trampoline::is_system_call_stub(registers.rip) {
            return Ok(Some(Ending::Died(Death::port_access(registers.rip))));
        }
        let call = system_call(&registers);
        self.warm_code_once(call.number);
        match personality.call(&call, &mut self.memory) {
            CallEffect::Return(value) => registers.rax = value.cast_unsigned(),
            CallEffect::SetFsBase(base) => {
                registers.rax = self.set_base(registers::MSR_FS_BASE, base, personality)?;
            }
            CallEffect::SetGsBase(base) => {
                registers.rax = self.set_base(registers::MSR_GS_BASE, base, personality)?;
            }
            CallEffect::Exit(code) => return Ok(Some(Ending::Exited(code))),
            CallEffect::Signal(signal) => return Ok(Some(Ending::Signalled(signal))),
            CallEffect::NewThread(new) => {
                registers.rax = self.start_thread(new, &registers)?;
            }
            CallEffect::Wait => {}
            CallEffect::EndThread => {
                self.contexts.end();
                self.leave_ring0()?;
                return self.let_next_run(personality);
            }
            CallEffect::EndHandler => {
                return self.end_handler(after_call(&registers), personality);
            }
        }
        self.flush_translations()?;
        if personality.wants_look() {
            self.leave_ring0()?;
            return self.let_run(after_call(&registers), personality);
        }
        let next = if returns {
            after_call(&registers)
        } else {
            registers
        };
        self.vcpu.set_registers(&next);
        Ok(None)
    }

    /// Makes the processor forget translations that were taken away.
    fn flush_translations(&mut self) -> Result<(), KvmError> {
        // On software KVM the MMU notifier has dropped them: see `GuestRam::drop_translations`.
        if self.memory.take_stale_translations() && self.vcpu.kind() == KvmKind::Hardware {
            self.vcpu.flush_translations()?;
        }
        Ok(())
    }

    /// Sets a segment's base, and returns the value of RAX for the system call.
    fn set_base(
        &mut self,
        msr: u32,
        base: u64,
        personality: &Personality,
    ) -> Result<u64, KvmError> {
        self.contexts.set_bases(personality.segment_bases());
        self.vcpu.set_msr(msr, base).map(|()| 0)
    }

    /// Starts a thread with the registers of its parent, whose call returns the thread's number.
    fn start_thread(&mut self, new: NewThread, parent: &kvm_regs) -> Result<u64, KvmError> {
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
        self.contexts.add(&self.vcpu, new.id, child)?;
        Ok(new.id.number())
    }

    /// Makes the program's code ready at the first call of a language's runtime, if a fault is dear:
    /// see [`loader::warm_code`].
    fn warm_code_once(&mut self, call: u64) {
        if WARMING.contains(&call)
            && self.vcpu.kind() == KvmKind::Software
            && let Some(program) = self.cold.take()
        {
            loader::warm_code(&self.memory, &program);
        }
    }

    /// A signal to the VMM came: at the end of a time slice another thread runs.
    fn serve_interruption(
        &mut self,
        personality: &mut Personality,
    ) -> Result<Option<Ending>, RunError> {
        let registers = self.vcpu.registers();
        // In the trampoline the thread is on its way into the VMM.
        if trampoline::is_inside(registers.rip) || !TimeSlices::is_over() {
            return Ok(None);
        }
        if let Err(stop) = personality.look_around() {
            return ending(stop).map(Some);
        }
        if personality.wants_look() {
            return self.let_run(registers, personality);
        }
        Ok(None)
    }

    /// Serves an exit that is no system call: the first touch of a page, an exception of which a
    /// handler is told, or the end of the program.
    fn serve_exception(
        &mut self,
        exit: &VmExit,
        personality: &mut Personality,
    ) -> Result<Option<Ending>, RunError> {
        let Some(exception) = Exception::take(exit, &mut self.vcpu, &self.memory)? else {
            return self.last_exit(exit).map(Some);
        };
        let touched = exception
            .missing_page()
            .map(|access| self.memory.touch(exception.fault_address, access));
        match touched {
            Some(Touch::Given) => {
                self.flush_translations()?;
                return Ok(None);
            }
            Some(Touch::Exhausted) => return Ok(Some(Ending::OutOfMemory)),
            Some(Touch::NotAllowed) | None => {}
        }
        if self.serve_vsyscall(&exception, personality)? {
            return Ok(None);
        }
        let (info, trap) = signal_of(&exception, &self.memory, &self.vcpu)?;
        if exception.frame.is_from_ring3() && personality.fault(info, trap) {
            return self.let_run(self.vcpu.registers(), personality);
        }
        Ok(Some(Ending::Died(exception.death())))
    }

    /// Serves a call of the vsyscall page, if `exception` is one and the program may write where the
    /// call's answer goes. If not, Linux sends `SIGSEGV` too.
    fn serve_vsyscall(
        &mut self,
        exception: &Exception,
        personality: &mut Personality,
    ) -> Result<bool, KvmError> {
        let registers = self.vcpu.registers();
        let Some(entry) = VsyscallEntry::of(exception, &registers, &self.memory) else {
            return Ok(false);
        };
        let effect = personality.call(&entry.call, &mut self.memory);
        self.flush_translations()?;
        match effect {
            CallEffect::Return(value) if value != -i64::from(libc::EFAULT) => {
                self.vcpu.set_registers(&entry.returned(value, &registers));
                Ok(true)
            }
            _ => Ok(false),
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
