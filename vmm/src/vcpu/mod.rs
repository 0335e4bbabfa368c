#![expect(unsafe_code, reason = "reads the fields of KVM's union of exits")]
//! One virtual processor: enter the guest, say why it came out, change its registers.
//!
//! Registers travel in the page that KVM shares with us (`KVM_CAP_SYNC_REGS`): an exit costs one ioctl, not three.

pub(crate) mod cpuid;
pub(crate) mod regs;

use std::io;

use kvm_bindings::{
    KVM_EXIT_INTERNAL_ERROR, KVM_INTERNAL_ERROR_EMULATION, kvm_regs, kvm_run, kvm_sregs,
};
use kvm_ioctls::{SyncReg, VcpuExit, VcpuFd, VmFd};

use crate::exits::ExitReason;
use crate::kvm::{Hypervisor, KvmError, KvmKind};

/// Why the guest came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VmExit {
    /// It wrote to a port.
    PortWrite(u16),
    /// It read from a port.
    PortRead(u16),
    /// It ran `hlt`.
    Halt,
    /// It accessed a physical address that isn't RAM.
    Mmio(u64),
    /// It could not even raise a double fault.
    Shutdown,
    /// KVM's interpreter does not know the instruction.
    EmulationFailure {
        /// The instruction's bytes, as far as KVM told.
        bytes: Vec<u8>,
    },
    /// The processor refused the guest's state.
    EntryFailure {
        /// The processor's reason.
        reason: u64,
    },
    /// Anything else: it cannot come from this guest.
    Unexpected(String),
}

impl VmExit {
    /// What it is counted as.
    pub const fn reason(&self) -> ExitReason {
        match self {
            Self::PortWrite(_) => ExitReason::PortWrite,
            Self::PortRead(_) => ExitReason::PortRead,
            _ => ExitReason::Other,
        }
    }
}

impl std::fmt::Display for VmExit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PortWrite(port) => write!(formatter, "write to port {port:#x}"),
            Self::PortRead(port) => write!(formatter, "read from port {port:#x}"),
            Self::Halt => write!(formatter, "hlt in ring 0"),
            Self::Mmio(address) => write!(
                formatter,
                "access to physical address {address:#x}, which is not RAM"
            ),
            Self::Shutdown => write!(formatter, "triple fault"),
            Self::EmulationFailure { bytes } => {
                write!(
                    formatter,
                    "KVM cannot interpret the instruction {bytes:02x?}"
                )
            }
            Self::EntryFailure { reason } => write!(
                formatter,
                "the processor refused the guest's state: {reason:#x}"
            ),
            Self::Unexpected(what) => formatter.write_str(what),
        }
    }
}

/// A virtual processor.
#[derive(Debug)]
pub struct Vcpu {
    fd: VcpuFd,
    kind: KvmKind,
}

impl Vcpu {
    /// Makes the VM's only vCPU, and tells it what processor it is where that has an effect.
    ///
    /// # Errors
    /// A KVM ioctl fails.
    pub fn new(hypervisor: &Hypervisor, vm: &VmFd) -> Result<Self, KvmError> {
        let mut fd = vm
            .create_vcpu(0)
            .map_err(KvmError::from_ioctl("KVM_CREATE_VCPU"))?;
        let kind = hypervisor.kind();
        if kind == KvmKind::Hardware {
            cpuid::pass_host(hypervisor, &fd)?;
        }
        fd.set_sync_valid_reg(SyncReg::Register);
        Ok(Self { fd, kind })
    }

    /// What runs this vCPU's ring 0.
    pub const fn kind(&self) -> KvmKind {
        self.kind
    }

    /// Sets all registers for a program to start at `entry`.
    ///
    /// # Errors
    /// A KVM ioctl fails.
    pub fn start(&mut self, root: u64, entry: u64, stack: u64) -> Result<(), KvmError> {
        self.set_msrs(&regs::system_call_msrs())?;
        let shared = self.fd.sync_regs_mut();
        shared.regs = regs::entry_registers(entry, stack);
        shared.sregs = regs::system_registers(self.kind, root);
        self.fd.set_sync_dirty_reg(SyncReg::Register);
        self.fd.set_sync_dirty_reg(SyncReg::SystemRegister);
        Ok(())
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

    /// The system registers.
    ///
    /// # Errors
    /// The ioctl fails.
    pub fn system_registers(&self) -> Result<kvm_sregs, KvmError> {
        self.fd
            .get_sregs()
            .map_err(KvmError::from_ioctl("KVM_GET_SREGS"))
    }

    /// Sets one model-specific register.
    ///
    /// # Errors
    /// The ioctl fails, or KVM does not accept the value (a non-canonical base).
    pub fn set_msr(&self, index: u32, value: u64) -> Result<(), KvmError> {
        self.set_msrs(&regs::msrs(&[(index, value)]))
    }

    /// Goes on in ring 0, as the probe does.
    ///
    /// # Errors
    /// A KVM ioctl fails.
    pub(crate) fn enter_ring0(&self) -> Result<(), KvmError> {
        let mut registers = self.system_registers()?;
        regs::make_ring0(&mut registers);
        self.set_system_registers(&registers)
    }

    /// Makes the processor forget every translation: a new value for CR3 does (Intel SDM vol. 3A, 4.10.4.1), and
    /// KVM passes that on.
    ///
    /// # Errors
    /// A KVM ioctl fails.
    pub fn flush_translations(&self) -> Result<(), KvmError> {
        let mut registers = self.system_registers()?;
        registers.cr3 ^= regs::CR3_TOGGLE;
        self.set_system_registers(&registers)
    }

    fn set_system_registers(&self, registers: &kvm_sregs) -> Result<(), KvmError> {
        self.fd
            .set_sregs(registers)
            .map_err(KvmError::from_ioctl("KVM_SET_SREGS"))
    }

    /// Enters the guest until it comes out. A signal to the VMM is none of its reasons: it is entered again.
    ///
    /// # Errors
    /// `KVM_RUN` fails.
    pub fn run(&mut self) -> Result<VmExit, KvmError> {
        let exit = loop {
            match self.fd.run() {
                Ok(VcpuExit::Intr) => {}
                Ok(exit) => break own_exit(&exit),
                Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => {}
                Err(error) => return Err(KvmError::from_ioctl("KVM_RUN")(error)),
            }
        };
        Ok(exit.unwrap_or_else(|| internal_error(self.fd.get_kvm_run())))
    }

    fn set_msrs(&self, list: &kvm_bindings::Msrs) -> Result<(), KvmError> {
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

/// The details of `KVM_EXIT_INTERNAL_ERROR`.
pub(crate) fn internal_error(run: &kvm_run) -> VmExit {
    debug_assert_eq!(run.exit_reason, KVM_EXIT_INTERNAL_ERROR);
    // SAFETY: for this exit reason the union holds `internal`, of which `emulation_failure` is a refinement;
    // both are plain integers, of which every bit pattern is valid.
    let failure = unsafe { run.__bindgen_anon_1.emulation_failure };
    if failure.suberror != KVM_INTERNAL_ERROR_EMULATION {
        return VmExit::Unexpected(format!("KVM internal error {}", failure.suberror));
    }
    let mut bytes = Vec::new();
    if failure.ndata >= 1 && failure.flags & 1 != 0 {
        // SAFETY: bit 0 of `flags` (KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) says that these are filled in.
        let told = unsafe { failure.__bindgen_anon_1.__bindgen_anon_1 };
        let length = usize::from(told.insn_size).min(told.insn_bytes.len());
        bytes.extend_from_slice(&told.insn_bytes[..length]);
    }
    VmExit::EmulationFailure { bytes }
}

/// KVM's exit as ours; `None` for an internal error, whose details lie elsewhere.
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
