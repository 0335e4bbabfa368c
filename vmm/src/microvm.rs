#![expect(unsafe_code, reason = "gives guest RAM to the VM")]
//! The life of a microVM: [`Config`] -> [`MicroVm`] (booted, not yet entered) -> [`Ended`].

use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::VmFd;

use crate::bare::address_space::AddressSpace;
use crate::bare::exception::{self, Death};
use crate::bare::loader::{self, LoadError};
use crate::bare::program::Image;
use crate::bare::syscalls::{Outcome, Personality, SystemCall};
use crate::bare::{registers, trampoline};
use crate::config::Config;
use crate::kvm::exits::{ExitCounts, VmExit};
use crate::kvm::{Hypervisor, KvmError, KvmKind, Vcpu};
use crate::layout::{EXCEPTION_PORTS, SYSTEM_CALL_PORT};
use crate::memory::{GuestRam, RamError};
use crate::phase::Phase;

/// A microVM could not be started.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// KVM can't be used, or refused something.
    #[error("kvm")]
    Kvm(#[from] KvmError),
    /// No guest RAM.
    #[error("guest memory")]
    Ram(#[from] RamError),
    /// The program does not fit.
    #[error("loading the program")]
    Load(#[from] LoadError),
}

/// A running microVM cannot go on; the program is not to blame.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// KVM refused something.
    #[error("kvm")]
    Kvm(#[from] KvmError),
    /// The program's only thread waits for another: on Linux it would hang for good.
    #[error("the program waits for a wake-up that nobody can give")]
    Deadlock,
    /// The guest came out in a way that this VMM has no answer to.
    #[error("the guest stopped at rip={rip:#x}: {what}")]
    Stopped {
        /// Where.
        rip: u64,
        /// Why.
        what: String,
    },
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Exited(u8),
    /// By a signal that it or the personality raised.
    Signalled(u8),
    /// By an exception that it did not survive.
    Died(Death),
}

impl Ended {
    /// The exit code that a shell would show.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Exited(code) => *code,
            Self::Signalled(signal) => 128 + *signal,
            Self::Died(death) => 128 + death.signal.number(),
        }
    }
}

/// A microVM with its program loaded, ready to run.
#[derive(Debug)]
pub struct MicroVm {
    // In the order in which they must go: the vCPU, the VM, then the memory that it maps.
    vcpu: Vcpu,
    _vm: VmFd,
    memory: AddressSpace,
    /// The program's layout, until its code has been made ready.
    cold: Option<Image>,
    exits: ExitCounts,
}

impl MicroVm {
    /// Makes the VM and loads the program. `ended` is called at the end of each phase.
    ///
    /// # Errors
    /// See [`BootError`].
    pub fn boot(config: &Config, ended: &dyn Fn(Phase)) -> Result<Self, BootError> {
        let hypervisor = Hypervisor::open()?;
        ended(Phase::OpenKvm);
        let vm = hypervisor.create_vm()?;
        ended(Phase::CreateVm);
        let ram = GuestRam::new(config.memory)?;
        ram.attach(&vm)?;
        ended(Phase::Memory);
        let mut vcpu = Vcpu::new(&hypervisor, &vm)?;
        ended(Phase::Vcpu);
        let mut memory = AddressSpace::new(ram);
        trampoline::install(&mut memory, hypervisor.kind());
        let entry = loader::load(&mut memory, &config.program, &config.start)?;
        let kind = hypervisor.kind();
        let start = registers::at_entry(kind, memory.root(), entry.address, entry.stack);
        vcpu.set_start(&start)?;
        Ok(Self {
            vcpu,
            _vm: vm,
            memory,
            cold: Some(config.program.image.clone()),
            exits: ExitCounts::default(),
        })
    }

    /// How often the guest has come out so far.
    pub const fn exits(&self) -> &ExitCounts {
        &self.exits
    }

    /// Makes the program's code ready at its first `brk`, where a fault is dear: see [`loader::warm_code`].
    fn warm_code_once(&mut self, call: u64) {
        if call == libc::SYS_brk.cast_unsigned()
            && self.vcpu.kind() == KvmKind::Software
            && let Some(program) = self.cold.take()
        {
            loader::warm_code(&self.memory, &program);
        }
    }

    /// Runs the program to its end. `ended` is called at the end of each phase.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn run(
        &mut self,
        personality: &mut Personality,
        ended: &dyn Fn(Phase),
    ) -> Result<Ended, RunError> {
        let mut waits_for = Some(Phase::FirstExit);
        loop {
            let exit = self.vcpu.run()?;
            self.exits.add(exit.reason());
            if waits_for == Some(Phase::FirstExit) {
                ended(Phase::FirstExit);
                waits_for = Some(Phase::Ready);
            }
            if let Some(end) = self.serve(&exit, personality)? {
                ended(Phase::Exit);
                return Ok(end);
            }
            if waits_for == Some(Phase::Ready) && personality.has_written_output() {
                ended(Phase::Ready);
                waits_for = None;
            }
        }
    }

    /// Serves one exit; says so if it was the last.
    fn serve(
        &mut self,
        exit: &VmExit,
        personality: &mut Personality,
    ) -> Result<Option<Ended>, RunError> {
        match *exit {
            VmExit::PortWrite(port) if port == u16::from(SYSTEM_CALL_PORT) => {
                self.serve_call(personality)
            }
            _ => self.stop(exit).map(Some),
        }
    }

    /// Serves one system call.
    fn serve_call(&mut self, personality: &mut Personality) -> Result<Option<Ended>, RunError> {
        let mut registers = self.vcpu.registers();
        let after = match self.vcpu.kind() {
            KvmKind::Hardware => None,
            KvmKind::Software => Some((registers.rcx, registers.r11)),
        };
        if after.is_some() && !trampoline::is_system_call_stub(registers.rip) {
            return Ok(Some(Ended::Died(Death::port_access(registers.rip))));
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
            Outcome::Return(value) => value.cast_unsigned(),
            Outcome::SetFsBase(base) => self.set_base(registers::MSR_FS_BASE, base)?,
            Outcome::SetGsBase(base) => self.set_base(registers::MSR_GS_BASE, base)?,
            Outcome::Exit(code) => return Ok(Some(Ended::Exited(code))),
            Outcome::Signal(signal) => return Ok(Some(Ended::Signalled(signal))),
            Outcome::Deadlock => return Err(RunError::Deadlock),
        };
        if let Some((rcx, r11)) = after {
            registers.rip = rcx;
            registers.rflags = registers::user_flags(r11);
        }
        self.vcpu.set_registers(&registers);
        // On software KVM the MMU notifier has already done it: see `GuestRam::drop_translations`.
        if self.memory.take_stale() && after.is_none() {
            self.vcpu.flush_translations()?;
        }
        Ok(None)
    }

    /// Sets a segment base, and gives what the system call returns.
    fn set_base(&mut self, msr: u32, base: u64) -> Result<u64, KvmError> {
        self.vcpu.set_msr(msr, base).map(|()| 0)
    }

    /// What an exit that is no system call means.
    fn stop(&mut self, exit: &VmExit) -> Result<Ended, RunError> {
        let registers = self.vcpu.registers();
        let vector = match *exit {
            VmExit::PortWrite(port) => u8::try_from(port)
                .ok()
                .and_then(|port| port.checked_sub(EXCEPTION_PORTS))
                .filter(|_| trampoline::is_exception_stub(registers.rip)),
            _ => None,
        };
        if let Some(vector) = vector {
            let system = self.vcpu.system_registers()?;
            let frame = exception::Frame::read(&self.memory, registers.rsp, vector);
            return Ok(Ended::Died(exception::death(vector, frame, system.cr2)));
        }
        let rip = registers.rip;
        match exit {
            VmExit::PortWrite(_) | VmExit::PortRead(_) => Ok(Ended::Died(Death::port_access(rip))),
            other => Err(RunError::Stopped {
                rip,
                what: other.to_string(),
            }),
        }
    }
}

impl GuestRam {
    /// Makes this the VM's memory.
    pub(crate) fn attach(&self, vm: &VmFd) -> Result<(), KvmError> {
        let region = kvm_userspace_memory_region {
            slot: 0,
            flags: 0,
            guest_phys_addr: 0,
            memory_size: self.size(),
            userspace_addr: self.host_base() as u64,
        };
        // SAFETY: the mapping is as long as said, and KVM touches it only inside `KVM_RUN`, which nobody can call
        // once the memory is gone: whoever owns it owns the vCPU too, and drops both without running it again.
        unsafe { vm.set_user_memory_region(region) }
            .map_err(KvmError::from_ioctl("KVM_SET_USER_MEMORY_REGION"))
    }
}
