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
use super::vcpus::Links;
use super::{loader, registers, trampoline};
use crate::kvm::exits::ExitCounts;
use crate::kvm::{Hypervisor, Vcpu};

/// A microVM with its program loaded, ready to run.
#[derive(Debug)]
pub struct MicroVm {
    // The order of the fields is the order in which they must be dropped: the vCPUs, the VM, then
    // the memory that the VM maps.
    pub(super) processors: Vec<Processor>,
    _vm: VmFd,
    pub(super) memory: AddressSpace,
    /// The program's layout, until its code has been made ready.
    pub(super) cold: Option<Image>,
    pub(super) parts: ProgramParts,
    pub(super) exits: ExitCounts,
    /// What several vCPUs need to reach each other.
    pub(super) links: Option<Links>,
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
        // SAFETY: the microVM owns the RAM and the vCPUs. It drops the vCPUs first.
        unsafe { ram.attach(&vm)? };
        on_phase(Phase::Memory);
        let numbers = 0..usize::from(config.processors);
        let vcpus = numbers.clone().map(|id| Vcpu::new(&hypervisor, &vm, id));
        let mut vcpus = vcpus.collect::<Result<Vec<_>, _>>()?;
        on_phase(Phase::Vcpu);
        let mut memory = AddressSpace::new(ram);
        trampoline::install(&mut memory, hypervisor.kind());
        let LoadedProgram { entry, parts } = loader::load(
            &mut memory,
            &config.program,
            &config.start,
            config.processors,
        )?;
        let kind = hypervisor.kind();
        for (vcpu, number) in vcpus.iter_mut().zip(numbers.clone()) {
            trampoline::install_processor(&memory, kind, number);
            let root = memory.root();
            let start = registers::at_entry(kind, number, root, entry.address, entry.stack);
            match number {
                0 => vcpu.set_start(&start)?,
                // The vCPU gets a thread's registers before it enters.
                _ => vcpu.set_start_now(&start)?,
            }
        }
        let links = match config.processors {
            1 => None,
            _ => Some(Links::new(vcpus.len())?),
        };
        if let Some(links) = &links {
            memory.run_beside(links.guest_mode.clone());
        }
        let processors = vcpus.into_iter().zip(numbers);
        Ok(Self {
            processors: processors
                .map(|(vcpu, number)| Processor::new(vcpu, number))
                .collect(),
            _vm: vm,
            memory,
            cold: Some(config.program.image.clone()),
            parts,
            exits: ExitCounts::default(),
            links,
        })
    }
}
