//! One vCPU of a VM without a guest kernel: enters the guest, reads and changes its registers.
//!
//! Registers travel in the page that KVM shares with the VMM (`KVM_CAP_SYNC_REGS`): an exit costs
//! one ioctl and not three.

use std::io;

use kvm_bindings::{Msrs, kvm_regs, kvm_sregs};
use kvm_ioctls::{SyncReg, VcpuExit, VcpuFd, VmFd};

use super::exits::{self, VmExit};
use super::extended_state::ExtendedState;
use super::{Hypervisor, KvmError, KvmKind, cpuid, registers};

/// All registers that a program's start depends on.
#[derive(Debug)]
pub(crate) struct StartRegisters {
    /// The general registers.
    pub general: kvm_regs,
    /// The segments, the tables and the control registers.
    pub system: kvm_sregs,
    /// The model-specific registers.
    pub model_specific: Msrs,
}

/// A virtual processor.
#[derive(Debug)]
pub struct Vcpu {
    fd: VcpuFd,
    kind: KvmKind,
}

impl Vcpu {
    /// Makes the VM's vCPU `id`. The vCPU gets the host processor's features, or
    /// on software KVM, where the program has the features anyway, their state.
    ///
    /// # Errors
    /// A KVM ioctl fails.
    pub fn new(hypervisor: &Hypervisor, vm: &VmFd, id: usize) -> Result<Self, KvmError> {
        let mut fd = vm
            .create_vcpu(id as u64)
            .map_err(KvmError::from_ioctl("KVM_CREATE_VCPU"))?;
        let kind = hypervisor.kind();
        match kind {
            KvmKind::Hardware => cpuid::pass_host(hypervisor, &fd)?,
            KvmKind::Software => cpuid::admit_host_state(&fd)?,
        }
        fd.set_sync_valid_reg(SyncReg::Register);
        Ok(Self { fd, kind })
    }

    /// What runs this vCPU's ring 0.
    pub const fn kind(&self) -> KvmKind {
        self.kind
    }

    /// Sets all registers for the first entry.
    pub(crate) fn set_start(&mut self, start: &StartRegisters) -> Result<(), KvmError> {
        self.set_msrs(&start.model_specific)?;
        let shared = self.fd.sync_regs_mut();
        shared.regs = start.general;
        shared.sregs = start.system;
        self.fd.set_sync_dirty_reg(SyncReg::Register);
        self.fd.set_sync_dirty_reg(SyncReg::SystemRegister);
        Ok(())
    }

    /// Sets all registers at once, so that some can be changed before the first entry.
    pub(crate) fn set_start_now(&mut self, start: &StartRegisters) -> Result<(), KvmError> {
        self.set_msrs(&start.model_specific)?;
        self.set_registers(&start.general);
        self.set_system_registers(&start.system)
    }

    /// The general registers at the last exit.
    pub fn registers(&self) -> kvm_regs {
        self.fd.sync_regs().regs
    }

    /// Sets the general registers for the next entry.
    pub fn set_registers(&mut self, registers: &kvm_regs) {
        self.fd.sync_regs_mut().regs = *registers;
        self.fd.set_sync_dirty_reg(SyncReg::Register);
    }

    /// The segments, the tables and the control registers.
    ///
    /// # Errors
    /// The ioctl fails.
    pub fn system_registers(&self) -> Result<kvm_sregs, KvmError> {
        self.fd
            .get_sregs()
            .map_err(KvmError::from_ioctl("KVM_GET_SREGS"))
    }

    /// Sets the segments, the tables and the control registers.
    pub(crate) fn set_system_registers(&self, registers: &kvm_sregs) -> Result<(), KvmError> {
        self.fd
            .set_sregs(registers)
            .map_err(KvmError::from_ioctl("KVM_SET_SREGS"))
    }

    /// Sets one model-specific register.
    ///
    /// # Errors
    /// The ioctl fails, or KVM does not accept the value (a base that is not canonical).
    pub fn set_msr(&self, index: u32, value: u64) -> Result<(), KvmError> {
        self.set_msrs(&registers::msrs(&[(index, value)]))
    }

    /// Sets several model-specific registers: pairs of index and value.
    pub(crate) fn set_msr_values(&self, values: &[(u32, u64)]) -> Result<(), KvmError> {
        self.set_msrs(&registers::msrs(values))
    }

    /// The floating-point and vector registers.
    pub(crate) fn extended_state(&self) -> Result<ExtendedState, KvmError> {
        ExtendedState::read(&self.fd)
    }

    /// Sets the floating-point and vector registers.
    pub(crate) fn set_extended_state(&self, state: &ExtendedState) -> Result<(), KvmError> {
        state.write(&self.fd)
    }

    /// Makes the processor forget every translation of an address. A new value of CR3 has that
    /// effect (Intel SDM vol. 3A, 4.10.4.1), and KVM passes the change on.
    ///
    /// # Errors
    /// A KVM ioctl fails.
    pub fn flush_translations(&self) -> Result<(), KvmError> {
        let mut system = self.system_registers()?;
        system.cr3 ^= registers::CR3_WRITE_THROUGH;
        self.set_system_registers(&system)
    }

    /// Enters the guest and returns its exit. After a signal to the VMM the guest is entered again:
    /// a signal is no exit of the guest's.
    ///
    /// # Errors
    /// `KVM_RUN` fails.
    pub fn run(&mut self) -> Result<VmExit, KvmError> {
        loop {
            match self.run_interruptibly()? {
                VmExit::Interrupted => {}
                exit => return Ok(exit),
            }
        }
    }

    /// Enters the guest, and returns its exit or that a signal to the VMM came first.
    ///
    /// # Errors
    /// `KVM_RUN` fails.
    pub fn run_interruptibly(&mut self) -> Result<VmExit, KvmError> {
        let exit = loop {
            match self.fd.run() {
                Ok(VcpuExit::Intr) => return Ok(VmExit::Interrupted),
                Ok(exit) => break own_exit(&exit),
                Err(error) if error.errno() == libc::EINTR => return Ok(VmExit::Interrupted),
                Err(error) if error.errno() == libc::EAGAIN => {}
                Err(error) => return Err(KvmError::from_ioctl("KVM_RUN")(error)),
            }
        };
        Ok(exit.unwrap_or_else(|| exits::internal_error(self.fd.get_kvm_run())))
    }

    fn set_msrs(&self, list: &Msrs) -> Result<(), KvmError> {
        let wanted = list.as_slice().len();
        let set = self
            .fd
            .set_msrs(list)
            .map_err(KvmError::from_ioctl("KVM_SET_MSRS"))?;
        if set == wanted {
            return Ok(());
        }
        let refused = list.as_slice()[set];
        Err(KvmError::Ioctl {
            ioctl: "KVM_SET_MSRS",
            source: io::Error::other(format!(
                "value {:#x} for MSR {:#x} was refused",
                refused.data, refused.index
            )),
        })
    }
}

/// An exit of kvm-ioctls as a [`VmExit`]. The result is `None` for an internal error, whose details
/// lie in the page that KVM shares with the VMM.
fn own_exit(exit: &VcpuExit<'_>) -> Option<VmExit> {
    Some(match exit {
        VcpuExit::IoOut(port, _) => VmExit::PortWrite(*port),
        VcpuExit::IoIn(port, _) => VmExit::PortRead(*port),
        VcpuExit::Hlt => VmExit::Halt,
        VcpuExit::MmioRead(address, _) | VcpuExit::MmioWrite(address, _) => VmExit::Mmio(*address),
        VcpuExit::Shutdown => VmExit::Shutdown,
        VcpuExit::FailEntry(reason, _) => VmExit::EntryFailure { reason: *reason },
        VcpuExit::InternalError => return None,
        other => VmExit::Unexpected(format!("{other:?}")),
    })
}
