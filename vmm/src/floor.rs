//! The floor under a microVM's start: the least that KVM asks for until a guest runs at all.
//!
//! Open KVM, make a VM, give it memory, make a vCPU, set its registers, run one instruction of ring 3, come out.
//! No program, no system calls.

use bytesize::ByteSize;
use kvm_ioctls::VmFd;

use crate::bare::address_space::{AddressSpace, Backing, MapError, Placement, Protection};
use crate::bare::{registers, trampoline};
use crate::kvm::exits::VmExit;
use crate::kvm::{Hypervisor, KvmError, KvmKind, Vcpu};
use crate::layout::{PROGRAM, STACK_END, SYSTEM_CALL_PORT};
use crate::memory::{GuestRam, RamError};
use crate::phase::Phase;

/// The floor's guest memory: enough, and untouched for the most part.
const MEMORY: ByteSize = ByteSize::mib(16);

/// The floor's guest could not run.
#[derive(Debug, thiserror::Error)]
pub enum FloorError {
    /// KVM can't be used, or refused something.
    #[error("kvm")]
    Kvm(#[from] KvmError),
    /// No guest RAM.
    #[error("guest memory")]
    Ram(#[from] RamError),
    /// The one page of code could not be mapped.
    #[error("mapping the guest's code")]
    Map(#[from] MapError),
    /// The guest came out otherwise than by its port write.
    #[error("the guest stopped otherwise than by its port write: {0}")]
    Exit(VmExit),
}

/// A VM that has come out of its guest. Keep it until the floor's line is written: taking a VM down costs a third of
/// making one, and no microVM has to do that before it is ready.
#[derive(Debug)]
#[must_use = "dropped at once, it is taken down before the floor is ready"]
pub struct StoppedVm {
    // In the order in which they must go.
    vcpu: Vcpu,
    _vm: VmFd,
    _memory: AddressSpace,
}

/// Makes a VM and runs one instruction in it. `ended` is called at the end of each phase.
///
/// # Errors
/// See [`FloorError`].
pub fn first_exit(ended: &dyn Fn(Phase)) -> Result<StoppedVm, FloorError> {
    let hypervisor = Hypervisor::open()?;
    ended(Phase::OpenKvm);
    let vm = hypervisor.create_vm()?;
    ended(Phase::CreateVm);
    let ram = GuestRam::new(MEMORY)?;
    ram.attach(&vm)?;
    ended(Phase::Memory);
    let mut vcpu = Vcpu::new(&hypervisor, &vm)?;
    ended(Phase::Vcpu);
    let mut memory = AddressSpace::new(ram);
    trampoline::install(&mut memory, hypervisor.kind());
    let code = Backing::Bytes(match hypervisor.kind() {
        // 1: syscall; jmp 1b: the port is ring 0's, and ring 0 is one instruction away.
        KvmKind::Hardware => &[0x0f, 0x05, 0xeb, 0xfc],
        // 1: out %al, $SYSTEM_CALL_PORT; jmp 1b
        KvmKind::Software => &[0xe6, SYSTEM_CALL_PORT, 0xeb, 0xfc],
    });
    memory.map(Placement::Fixed(PROGRAM), 4, Protection::READ_EXECUTE, code)?;
    let start = registers::at_entry(hypervisor.kind(), memory.root(), PROGRAM, STACK_END);
    vcpu.set_start(&start)?;
    ended(Phase::Load);
    to_exit(&mut vcpu)?;
    ended(Phase::FirstExit);
    Ok(StoppedVm {
        vcpu,
        _vm: vm,
        _memory: memory,
    })
}

impl StoppedVm {
    /// Enters the guest again, which comes out at once: nothing is in it but the way in and out.
    ///
    /// # Errors
    /// See [`FloorError`].
    pub fn exit_again(&mut self) -> Result<(), FloorError> {
        to_exit(&mut self.vcpu)
    }
}

fn to_exit(vcpu: &mut Vcpu) -> Result<(), FloorError> {
    match vcpu.run()? {
        VmExit::PortWrite(port) if port == u16::from(SYSTEM_CALL_PORT) => Ok(()),
        exit => Err(FloorError::Exit(exit)),
    }
}
