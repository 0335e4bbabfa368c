#![expect(unsafe_code, reason = "gives guest RAM to the VM")]
//! The making of a bare guest: [`Config`] becomes a [`MicroVm`] (booted, not yet entered).

use kvm_ioctls::VmFd;

use super::address_space::{AddressSpace, GuestRam};
use super::config::Config;
use super::error::BootError;
use super::loader::LoadedProgram;
use super::parts::ProgramParts;
use super::phase::Phase;
use super::processor::Processor;
use super::program::Image;
use super::{loader, registers, trampoline};
use crate::kvm::exits::ExitCounts;
use crate::kvm::{Hypervisor, Vcpu};

/// A microVM with its program loaded, ready to run.
#[derive(Debug)]
pub struct MicroVm {
    // The order of the fields is the order in which they must be dropped: the vCPU, the VM, then
    // the memory that the VM maps.
    pub(super) processor: Processor,
    _vm: VmFd,
    pub(super) memory: AddressSpace,
    /// The program's layout, until its code has been made ready.
    pub(super) cold: Option<Image>,
    pub(super) parts: ProgramParts,
    pub(super) exits: ExitCounts,
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
            processor: Processor::new(vcpu),
            _vm: vm,
            memory,
            cold: Some(config.program.image.clone()),
            parts,
            exits: ExitCounts::default(),
        })
    }
}
