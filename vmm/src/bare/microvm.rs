#![expect(unsafe_code, reason = "gives guest RAM to the VM")]
//! The making of a bare guest: [`Config`] becomes a [`MicroVm`] (booted, not yet entered).

use std::fs::File;

use kvm_ioctls::VmFd;

use super::address_space::{AddressSpace, GuestRam};
use super::config::Config;
use super::error::{BootError, RestoreError};
use super::loader::LoadedProgram;
use super::parts::ProgramParts;
use super::paused::Paused;
use super::phase::Phase;
use super::processor::Processor;
use super::program::Image;
use super::snapshot::{Identity, Snapshot, SnapshotError, TakeError};
use super::syscalls::Personality;
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
    pub(super) vm: VmFd,
    pub(super) memory: AddressSpace,
    /// The program's layout, until its code has been made ready.
    pub(super) cold: Option<Image>,
    /// Where the program's parts lie, until the personality has been told.
    pub(super) parts: Option<ProgramParts>,
    pub(super) exits: ExitCounts,
    /// What several vCPUs need to reach each other.
    pub(super) links: Option<Links>,
    /// Makes another VM, if the program goes on in one.
    pub(super) hypervisor: Hypervisor,
    /// The program's registers, if it has stopped where it asks for input.
    pub(super) paused: Option<Paused>,
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
            vm,
            memory,
            cold: Some(config.program.image.clone()),
            parts: Some(parts),
            exits: ExitCounts::default(),
            links,
            hypervisor,
            paused: None,
        })
    }

    /// Makes a VM, and puts a snapshot's program into it, which goes on at the next
    /// [`MicroVm::run`]. `on_phase` is called at the end of each phase.
    ///
    /// # Errors
    /// See [`RestoreError`].
    pub fn restore(
        file: File,
        identity: Identity,
        personality: &mut Personality,
        on_phase: &dyn Fn(Phase),
    ) -> Result<Self, RestoreError> {
        let hypervisor = Hypervisor::open()?;
        let kind = hypervisor.kind();
        on_phase(Phase::OpenKvm);
        let snapshot = Snapshot::read(file, kind, identity)?;
        let vm = hypervisor.create_vm()?;
        on_phase(Phase::CreateVm);
        let mut memory = AddressSpace::new(GuestRam::new(identity.memory)?);
        trampoline::install(&mut memory, kind);
        let paused = snapshot.restore(&mut memory, personality)?;
        // SAFETY: as in `boot`.
        unsafe { memory.ram().attach(&vm)? };
        on_phase(Phase::Memory);
        let vcpu = Vcpu::new(&hypervisor, &vm, 0)?;
        on_phase(Phase::Vcpu);
        let mut processor = Processor::new(vcpu, 0);
        let restored = paused.restore(&mut processor, memory.root());
        restored.map_err(SnapshotError::Registers)?;
        Ok(Self {
            processors: vec![processor],
            vm,
            memory,
            cold: None,
            parts: None,
            exits: ExitCounts::default(),
            links: None,
            hypervisor,
            paused: None,
        })
    }

    /// Writes a snapshot of a program that has stopped where it first asks for input to `file`,
    /// which is empty.
    ///
    /// # Errors
    /// See [`TakeError`].
    ///
    /// # Panics
    /// The program has not stopped so.
    pub fn take_snapshot(
        &self,
        personality: &Personality,
        identity: Identity,
        file: &File,
    ) -> Result<(), TakeError> {
        let paused = self.paused.as_ref().expect("the program has stopped");
        let kind = self.hypervisor.kind();
        Snapshot::write(paused, &self.memory, personality, kind, identity, file)
    }

    /// Makes another VM around the memory of a program that has stopped where it first asks for
    /// input. The program goes on there at the next [`MicroVm::run`]. The VM before is closed.
    ///
    /// # Errors
    /// KVM refuses something.
    ///
    /// # Panics
    /// The program has not stopped so.
    pub fn renew(&mut self) -> Result<(), BootError> {
        let paused = self.paused.take().expect("the program has stopped");
        let vm = self.hypervisor.create_vm()?;
        // SAFETY: as in `MicroVm::boot`. The RAM stays where it is.
        unsafe { self.memory.ram().attach(&vm)? };
        let vcpu = Vcpu::new(&self.hypervisor, &vm, 0)?;
        let mut processor = Processor::new(vcpu, 0);
        paused.restore(&mut processor, self.memory.root())?;
        self.processors
            .iter_mut()
            .for_each(Processor::forget_slices);
        self.processors = vec![processor];
        self.vm = vm;
        Ok(())
    }
}
