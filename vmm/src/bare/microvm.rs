#![expect(unsafe_code, reason = "gives guest RAM to the VM")]
//! The life of a bare guest: [`Config`] becomes a [`MicroVm`] (booted, not yet entered), and
//! running the microVM gives an [`Ending`].

use bytesize::ByteSize;
use kvm_ioctls::VmFd;

use super::address_space::{AddressSpace, GuestRam};
use super::config::Config;
use super::ending::Ending;
use super::error::{BootError, RunError};
use super::exception::Death;
use super::layout::SYSTEM_CALL_PORT;
use super::loader::LoadedProgram;
use super::parts::ProgramParts;
use super::phase::Phase;
use super::program::Image;
use super::resume::Exception;
use super::syscalls::{CallEffect, Personality, SystemCall};
use super::{loader, registers, trampoline};
use crate::kvm::exits::{ExitCounts, VmExit};
use crate::kvm::{Hypervisor, KvmError, KvmKind, Vcpu};

/// A microVM with its program loaded, ready to run.
#[derive(Debug)]
pub struct MicroVm {
    // The order of the fields is the order in which they must be dropped: the vCPU, the VM, then
    // the memory that the VM maps.
    vcpu: Vcpu,
    _vm: VmFd,
    memory: AddressSpace,
    /// The program's layout, until its code has been made ready.
    cold: Option<Image>,
    parts: ProgramParts,
    exits: ExitCounts,
}

impl MicroVm {
    /// Makes the VM and loads the program. `on_phase` is called at the end of each phase.
    ///
    /// # Errors
    /// See [`BootError`].
    pub fn boot(config: &Config, on_phase: &dyn Fn(Phase)) -> Result<Self, BootError> {
        let hypervisor = Hypervisor::open()?;
        on_phase(Phase::OpenKvm);
        let vm = hypervisor.create_vm()?;
        on_phase(Phase::CreateVm);
        let ram = GuestRam::new(config.memory)?;
        // SAFETY: the microVM owns the RAM and the vCPU. It drops the vCPU first.
        unsafe { ram.attach(&vm)? };
        on_phase(Phase::Memory);
        let mut vcpu = Vcpu::new(&hypervisor, &vm)?;
        on_phase(Phase::Vcpu);
        let mut memory = AddressSpace::new(ram);
        trampoline::install(&mut memory, hypervisor.kind());
        let LoadedProgram { entry, parts } =
            loader::load(&mut memory, &config.program, &config.start)?;
        let kind = hypervisor.kind();
        let start = registers::at_entry(kind, memory.root(), entry.address, entry.stack);
        vcpu.set_start(&start)?;
        Ok(Self {
            vcpu,
            _vm: vm,
            memory,
            cold: Some(config.program.image.clone()),
            parts,
            exits: ExitCounts::default(),
        })
    }

    /// The number of the guest's exits so far, by reason.
    pub const fn exits(&self) -> &ExitCounts {
        &self.exits
    }

    /// The last memory that the program asked for and the guest did not have, if there was any.
    pub fn refused_memory(&self) -> Option<ByteSize> {
        self.memory.refused().map(ByteSize)
    }

    /// Makes the program's code ready at its first `brk`, if a fault is dear: see
    /// [`loader::warm_code`].
    fn warm_code_once(&mut self, call: u64) {
        if call == libc::SYS_brk.cast_unsigned()
            && self.vcpu.kind() == KvmKind::Software
            && let Some(program) = self.cold.take()
        {
            loader::warm_code(&self.memory, &program);
        }
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
            let exit = self.vcpu.run()?;
            self.exits.add(exit.reason());
            if next_phase == Some(Phase::FirstExit) {
                on_phase(Phase::FirstExit);
                next_phase = Some(Phase::Ready);
            }
            if let Some(ending) = self.serve(&exit, personality)? {
                on_phase(Phase::Exit);
                return Ok(ending);
            }
            if next_phase == Some(Phase::Ready) && personality.has_written_output() {
                on_phase(Phase::Ready);
                next_phase = None;
            }
        }
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
            _ => self.last_exit(exit).map(Some),
        }
    }

    /// Serves one system call.
    fn serve_call(&mut self, personality: &mut Personality) -> Result<Option<Ending>, RunError> {
        let mut registers = self.vcpu.registers();
        // On software KVM the stub runs in ring 3, so the VMM returns from the call: to RCX, with
        // the flags of R11.
        let return_state = match self.vcpu.kind() {
            KvmKind::Hardware => None,
            KvmKind::Software => Some((registers.rcx, registers.r11)),
        };
        if return_state.is_some() && !trampoline::is_system_call_stub(registers.rip) {
            return Ok(Some(Ending::Died(Death::port_access(registers.rip))));
        }
        let call = SystemCall {
            number: registers.rax,
            arguments: [
                registers.rdi,
                registers.rsi,
                registers.rdx,
                registers.r10,
                registers.r8,
                registers.r9,
            ],
        };
        self.warm_code_once(call.number);
        registers.rax = match personality.call(&call, &mut self.memory) {
            CallEffect::Return(value) => value.cast_unsigned(),
            CallEffect::SetFsBase(base) => self.set_base(registers::MSR_FS_BASE, base)?,
            CallEffect::SetGsBase(base) => self.set_base(registers::MSR_GS_BASE, base)?,
            CallEffect::Exit(code) => return Ok(Some(Ending::Exited(code))),
            CallEffect::Signal(signal) => return Ok(Some(Ending::Signalled(signal))),
            CallEffect::Deadlock => return Err(RunError::Deadlock),
        };
        if let Some((rcx, r11)) = return_state {
            registers.rip = rcx;
            registers.rflags = registers::user_flags(r11);
        }
        self.vcpu.set_registers(&registers);
        // On software KVM the MMU notifier has dropped them: see `GuestRam::drop_translations`.
        if self.memory.take_stale_translations() && return_state.is_none() {
            self.vcpu.flush_translations()?;
        }
        Ok(None)
    }

    /// Sets a segment's base, and returns the value of RAX for the system call.
    fn set_base(&mut self, msr: u32, base: u64) -> Result<u64, KvmError> {
        self.vcpu.set_msr(msr, base).map(|()| 0)
    }

    /// How an exit that is no system call ends the program.
    fn last_exit(&mut self, exit: &VmExit) -> Result<Ending, RunError> {
        if let Some(exception) = Exception::take(exit, &mut self.vcpu, &self.memory)? {
            return Ok(Ending::Died(exception.death()));
        }
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
