#![expect(unsafe_code, reason = "gives guest RAM to the VM")]
//! The floor under a microVM's start: the least that KVM asks for until a guest runs at all.
//!
//! The floor opens KVM, makes a VM, gives the VM memory, makes a vCPU, sets its registers, runs one
//! instruction in ring 3 and comes out. There is no program and no system call.

use bytesize::ByteSize;
use kvm_ioctls::VmFd;

use super::address_space::{
    AddressSpace, Backing, GuestRam, MapError, Placement, Protection, RamError,
};
use super::layout::{PROGRAM, STACK_END, SYSTEM_CALL_PORT};
use super::phase::Phase;
use super::{registers, trampoline};
use crate::kvm::exits::VmExit;
use crate::kvm::{Hypervisor, KvmError, KvmKind, Vcpu};

/// The size of guest memory. The guest touches a few pages of it.
const MEMORY: ByteSize = ByteSize::mib(16);

/// The floor's guest could not run.
#[derive(Debug, thiserror::Error)]
pub enum FloorError {
    /// KVM can't be used, or refused something.
    #[error("kvm")]
    Kvm(#[from] KvmError),
    /// There is no guest RAM.
    #[error("guest memory")]
    Ram(#[from] RamError),
    /// The only page of code could not be mapped.
    #[error("mapping the guest's code")]
    Map(#[from] MapError),
    /// The guest came out for another reason than its port write.
    #[error("the guest stopped otherwise than by its port write: {0}")]
    Exit(VmExit),
}

/// A VM that has come out of its guest. The caller must keep the VM until the floor's line is
/// written: taking a VM down costs a third of making one, and no microVM does that before it is
/// ready.
#[derive(Debug)]
#[must_use = "dropped at once, the VM is taken down before the floor is ready"]
pub struct StoppedVm {
    // The order of the fields is the order in which they must be dropped.
    vcpu: Vcpu,
    _vm: VmFd,
    _memory: AddressSpace,
}

/// Makes a VM and runs one instruction in the VM. `on_phase` is called at the end of each phase.
///
/// # Errors
/// See [`FloorError`].
pub fn first_exit(on_phase: &dyn Fn(Phase)) -> Result<StoppedVm, FloorError> {
    let hypervisor = Hypervisor::open()?;
    on_phase(Phase::OpenKvm);
    let vm = hypervisor.create_vm()?;
    on_phase(Phase::CreateVm);
    let ram = GuestRam::new(MEMORY)?;
    // SAFETY: the stopped VM owns the RAM and the vCPU. It drops the vCPU first.
    unsafe { ram.attach(&vm)? };
    on_phase(Phase::Memory);
    let mut vcpu = Vcpu::new(&hypervisor, &vm, 0)?;
    on_phase(Phase::Vcpu);
    let kind = hypervisor.kind();
    let mut memory = AddressSpace::new(ram);
    trampoline::install(&mut memory, kind);
    let code = Backing::Bytes(match kind {
        // 1: syscall; jmp 1b: the port is ring 0's, and ring 0 is one instruction away.
        KvmKind::Hardware => &[0x0f, 0x05, 0xeb, 0xfc],
        // 1: out %al, $SYSTEM_CALL_PORT; jmp 1b
        KvmKind::Software => &[0xe6, SYSTEM_CALL_PORT, 0xeb, 0xfc],
    });
    memory.map(Placement::Fixed(PROGRAM), 4, Protection::READ_EXECUTE, code)?;
    let start = registers::at_entry(kind, 0, memory.root(), PROGRAM, STACK_END);
    vcpu.set_start(&start)?;
    on_phase(Phase::Load);
    run_to_exit(&mut vcpu)?;
    on_phase(Phase::FirstExit);
    Ok(StoppedVm {
        vcpu,
        _vm: vm,
        _memory: memory,
    })
}

impl StoppedVm {
    /// Enters the guest once more. The guest comes out at once, since it holds nothing but the way
    /// in and out.
    ///
    /// # Errors
    /// See [`FloorError`].
    pub fn exit_again(&mut self) -> Result<(), FloorError> {
        run_to_exit(&mut self.vcpu)
    }
}

fn run_to_exit(vcpu: &mut Vcpu) -> Result<(), FloorError> {
    match vcpu.run()? {
        VmExit::PortWrite(port) if port == u16::from(SYSTEM_CALL_PORT) => Ok(()),
        exit => Err(FloorError::Exit(exit)),
    }
}

#[cfg(test)]
mod tests {
    use isobench_testing::{Need, lacks};

    use super::*;
    use crate::probe;

    #[test]
    fn the_floor_reaches_its_exit_and_the_probe_agrees_with_the_module_list() {
        if lacks(Need::Kvm) {
            return;
        }
        let _vm = first_exit(&|_| ()).unwrap();
        let hypervisor = Hypervisor::open().unwrap();
        let probed = probe::probe(&hypervisor).unwrap();
        assert_eq!(probed.kind, KvmKind::of_host());
    }
}
