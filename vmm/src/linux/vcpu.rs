//! One virtual processor of a Linux guest: enters the guest, and hands its exits to the devices.

use kvm_bindings::CpuId;
use kvm_ioctls::{VcpuExit, VcpuFd, VmFd};

use super::board::{Board, EndCause};
use super::boot::processor;
use super::ending::Ending;
use super::error::RunError;
use super::layout::{ERROR_PORT, INPUT_PORT, OUTPUT_PORT};
use super::translate::{Access, PageTables};
use crate::devices::program_input::{HEADER, MOST_INPUT};
use crate::kvm::exits::{ExitReason, VmExit, internal_error};
use crate::kvm::{Hypervisor, KvmError};
use crate::memory::PAGE;

/// The most bytes that one exit moves: as much as a pipe holds, and a header.
const MOST_TRANSFERRED: u64 = (HEADER + MOST_INPUT) as u64;

/// A virtual processor.
#[derive(Debug)]
pub(super) struct Vcpu {
    fd: VcpuFd,
}

impl Vcpu {
    /// Makes the VM's vCPU `id`, with the features of the host's processor.
    pub(super) fn new(
        hypervisor: &Hypervisor,
        vm: &VmFd,
        id: u8,
        host: &CpuId,
    ) -> Result<Self, KvmError> {
        let fd = vm
            .create_vcpu(id.into())
            .map_err(KvmError::from_ioctl("KVM_CREATE_VCPU"))?;
        processor::identify(hypervisor, &fd, id, host)?;
        processor::set_msrs(&fd)?;
        processor::wire_interrupts(&fd)?;
        Ok(Self { fd })
    }

    /// Sets the registers such that the first entry starts the kernel at `entry`.
    pub(super) fn set_start(&self, entry: u64) -> Result<(), KvmError> {
        processor::set_start(&self.fd, entry)
    }

    /// Runs until an exit ends the machine.
    pub(super) fn run(&mut self, board: &Board) -> Result<Ending, RunError> {
        loop {
            if let Some(cause) = self.enter(board)? {
                return Ok(match cause {
                    EndCause::Exit(code) => Ending::Exited(code),
                    EndCause::OutputClosed => Ending::OutputClosed,
                    EndCause::Halted => Ending::Halted,
                    EndCause::Reset => Ending::Reset(board.console()),
                    EndCause::TripleFault => Ending::TripleFault(board.console()),
                });
            }
        }
    }

    /// Enters the guest once, and serves the exit.
    fn enter(&mut self, board: &Board) -> Result<Option<EndCause>, RunError> {
        let exit = match self.fd.run() {
            Ok(exit) => exit,
            Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => VcpuExit::Intr,
            Err(error) => return Err(KvmError::from_ioctl("KVM_RUN")(error).into()),
        };
        board.exits.add(reason(&exit));
        let stopped = match exit {
            VcpuExit::IoOut(port @ (OUTPUT_PORT | ERROR_PORT | INPUT_PORT), _) => {
                return self.transfer(board, port);
            }
            VcpuExit::IoOut(port, bytes) => return Ok(board.write_port(port, bytes)),
            VcpuExit::IoIn(port, into) => {
                board.read_port(port, into);
                return Ok(None);
            }
            VcpuExit::MmioWrite(address, bytes) => {
                board.write_address(address, bytes)?;
                return Ok(None);
            }
            VcpuExit::MmioRead(address, into) => {
                board.read_address(address, into);
                return Ok(None);
            }
            VcpuExit::Intr => return Ok(None),
            VcpuExit::Shutdown => return Ok(Some(EndCause::TripleFault)),
            VcpuExit::FailEntry(reason, _) => VmExit::EntryFailure { reason },
            VcpuExit::InternalError => internal_error(self.fd.get_kvm_run()),
            other => VmExit::Unexpected(format!("{other:?}")),
        };
        Err(self.stopped(&stopped))
    }

    /// Moves the bytes that RSI and RCX name, a page at a time: pages that are neighbours in the
    /// guest's address space are none in its memory. The bytes end at a page that isn't there.
    fn transfer(&self, board: &Board, port: u16) -> Result<Option<EndCause>, RunError> {
        let registers = self
            .fd
            .get_regs()
            .map_err(KvmError::from_ioctl("KVM_GET_REGS"))?;
        let system = self
            .fd
            .get_sregs()
            .map_err(KvmError::from_ioctl("KVM_GET_SREGS"))?;
        let tables = PageTables::new(system.cr3, system.cr4);
        let access = match port {
            INPUT_PORT => Access::Write,
            _ => Access::Read,
        };
        let mut address = registers.rsi;
        let mut left = registers.rcx.min(MOST_TRANSFERRED);
        let mut pieces = Vec::new();
        while left > 0 {
            let Some(physical) = tables.translate(&board.memory, address, access) else {
                break;
            };
            let length = left.min(PAGE - address % PAGE);
            pieces.push((physical, length));
            address = address.wrapping_add(length);
            left -= length;
        }
        Ok(board.transfer(port, &pieces))
    }

    fn stopped(&self, exit: &VmExit) -> RunError {
        RunError::Stopped {
            rip: self.fd.get_regs().map_or(0, |registers| registers.rip),
            what: exit.to_string(),
        }
    }
}

/// The reason under which an exit is counted.
const fn reason(exit: &VcpuExit<'_>) -> ExitReason {
    match exit {
        VcpuExit::IoOut(..) => ExitReason::PortWrite,
        VcpuExit::IoIn(..) => ExitReason::PortRead,
        VcpuExit::MmioWrite(..) => ExitReason::AddressWrite,
        VcpuExit::MmioRead(..) => ExitReason::AddressRead,
        VcpuExit::Intr => ExitReason::Interrupted,
        _ => ExitReason::Other,
    }
}
