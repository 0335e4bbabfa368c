//! Going on in ring 3 after an exception.
//!
//! The exception's stub ends in a port write and has no way back of its own: the VMM returns in
//! place of an `iretq`. The program's general registers are still in place, since the stub changes
//! none of them. RIP, RSP and RFLAGS come from the frame that the processor pushed, and CS and SS
//! become those of ring 3. All other segments, with the bases of FS and GS, stay.
//!
//! On hardware KVM the stub's port write is not complete yet: KVM skips the instruction at the next
//! entry, but only if RIP still leads there (`complete_fast_pio_out` in `arch/x86/kvm/x86.c`). A
//! program that goes on has another RIP, since ring 3 can't run the stub.

use kvm_bindings::kvm_regs;

use super::address_space::{Access, AddressSpace};
use super::exception::{self, Death, Frame, PAGE_FAULT};
use super::layout::EXCEPTION_PORTS;
use super::{registers, trampoline};
use crate::kvm::exits::VmExit;
use crate::kvm::{KvmError, Vcpu};

/// An exception that came out of the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exception {
    /// The exception's number.
    pub vector: u8,
    /// What the processor pushed.
    pub frame: Frame,
    /// CR2: the address of the last page fault.
    pub fault_address: u64,
    /// Whether a page fault was raised at an address where something is mapped: the access was one
    /// that is not permitted there (Linux: `SEGV_ACCERR`).
    pub is_mapped: bool,
    /// Whether the instruction was `int 0x80`, a system call of 32-bit programs. One kind of KVM
    /// gives `#UD` for it, the other `#GP`.
    pub is_32_bit_call: bool,
}

/// Whether these bytes are at `address`.
fn reads_as(memory: &AddressSpace, address: u64, bytes: [u8; 2]) -> bool {
    let mut there = [0; 2];
    memory.read(address, &mut there).is_ok() && there == bytes
}

impl Exception {
    /// The exception behind `exit`, if there is one.
    ///
    /// The vCPU is in ring 3 afterwards and would repeat the instruction (after a trap, go on with
    /// the next one), and its general registers are the program's, as after a system call. So the
    /// caller may enter the guest at once, or change registers first. Only after an exception in
    /// ring 0 ([`Frame::is_from_ring3`]) the vCPU is left as it is, and must not be entered again.
    ///
    /// # Errors
    /// A KVM ioctl fails.
    pub fn take(
        exit: &VmExit,
        vcpu: &mut Vcpu,
        memory: &AddressSpace,
    ) -> Result<Option<Self>, KvmError> {
        let VmExit::PortWrite(port) = *exit else {
            return Ok(None);
        };
        let general = vcpu.registers();
        let vector = u8::try_from(port)
            .ok()
            .and_then(|port| port.checked_sub(EXCEPTION_PORTS))
            .filter(|_| trampoline::is_exception_stub(general.rip));
        let Some(vector) = vector else {
            return Ok(None);
        };
        let mut system = vcpu.system_registers()?;
        let frame = Frame::read(memory, general.rsp, vector);
        let exception = Self {
            vector,
            frame,
            fault_address: system.cr2,
            is_32_bit_call: matches!(vector, 6 | 13) && reads_as(memory, frame.rip, [0xcd, 0x80]),
            is_mapped: !frame.misses_page() || memory.is_mapped(system.cr2),
        };
        if exception.frame.is_from_ring3() {
            registers::enter_ring3(&mut system);
            vcpu.set_system_registers(&system)?;
            vcpu.set_registers(&exception.program_registers(&general));
        }
        Ok(Some(exception))
    }

    /// How the exception ends the program.
    pub fn death(&self) -> Death {
        if self.is_32_bit_call {
            return Death::call_of_32_bits(self.frame.rip);
        }
        exception::death(self.vector, self.frame, self.fault_address, self.is_mapped)
    }

    /// The access that stopped at a page without a frame, or at a page that another vCPU has
    /// changed meanwhile, if the exception may be one.
    pub fn refused_access(&self) -> Option<Access> {
        let may_go_on =
            self.vector == PAGE_FAULT && self.frame.is_from_ring3() && self.frame.is_about_access();
        may_go_on.then_some(self.frame.access())
    }

    /// The program's registers, from those at the exit.
    const fn program_registers(&self, at_exit: &kvm_regs) -> kvm_regs {
        kvm_regs {
            rip: self.frame.rip,
            rsp: self.frame.rsp,
            rflags: registers::user_flags(self.frame.rflags),
            ..*at_exit
        }
    }
}
