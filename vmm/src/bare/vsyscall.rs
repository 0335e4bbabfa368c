//! The vsyscall page: three system calls that old programs make by a call to a fixed address.
//!
//! Linux maps the page at an address of the kernel's half, and the page faults at each call; the
//! kernel then does what the call asks for and returns to the caller (`emulate_vsyscall` in
//! `arch/x86/entry/vsyscall/vsyscall_64.c`). In a bare guest nothing is mapped there, so the same fault
//! comes out.

use kvm_bindings::kvm_regs;
use nix::libc::{self, c_long};

use super::address_space::AddressSpace;
use super::exception::PAGE_FAULT;
use super::layout::USER_HALF_END;
use super::resume::Exception;
use super::syscalls::SystemCall;

/// The page's address (`VSYSCALL_ADDR`).
const PAGE_ADDRESS: u64 = 0xffff_ffff_ff60_0000;
/// The calls, by their places in the page.
const CALLS: [(u64, c_long); 3] = [
    (0x000, libc::SYS_gettimeofday),
    (0x400, libc::SYS_time),
    (0x800, libc::SYS_getcpu),
];

/// A call of the vsyscall page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct VsyscallEntry {
    /// The system call that the program asks for.
    pub call: SystemCall,
    /// The address to which the call returns.
    caller: u64,
}

impl VsyscallEntry {
    /// The call behind `exception`, in a program with these `registers`, if it is one.
    pub fn of(exception: &Exception, registers: &kvm_regs, memory: &AddressSpace) -> Option<Self> {
        let place = registers.rip.wrapping_sub(PAGE_ADDRESS);
        let (_, number) = CALLS.iter().find(|(at, _)| *at == place)?;
        let is_fetch = exception.vector == PAGE_FAULT && exception.fault_address == registers.rip;
        if !is_fetch || !exception.frame.is_from_ring3() {
            return None;
        }
        let mut caller = [0; 8];
        memory.read(registers.rsp, &mut caller).ok()?;
        let caller = u64::from_le_bytes(caller);
        // A return to an address that isn't canonical would end the VM.
        (caller < USER_HALF_END).then(|| Self {
            call: SystemCall {
                number: number.cast_unsigned(),
                arguments: [registers.rdi, registers.rsi, 0, 0, 0, 0],
            },
            caller,
        })
    }

    /// The registers after the call, which gives `value`.
    pub const fn returned(&self, value: i64, registers: &kvm_regs) -> kvm_regs {
        kvm_regs {
            rax: value.cast_unsigned(),
            rip: self.caller,
            rsp: registers.rsp + 8,
            ..*registers
        }
    }
}
