//! What a signal's handler is told of an instruction that failed (`arch/x86/kernel/traps.c` and
//! `arch/x86/mm/fault.c`).

use nix::libc::{self, c_int};

use super::address_space::AddressSpace;
use super::resume::Exception;
use super::syscalls::{SignalInfo, Trap};

// `si_code` values (`asm-generic/siginfo.h`).
const SI_KERNEL: c_int = 0x80;
const SEGV_MAPERR: c_int = 1;
const SEGV_ACCERR: c_int = 2;
const FPE_INTDIV: c_int = 1;
const FPE_FLTUNK: c_int = 14;
const ILL_ILLOPN: c_int = 2;

const PAGE_FAULT: u8 = 14;

/// The signal for an exception, and what the processor said of it.
pub(super) fn signal_of(exception: &Exception, memory: &AddressSpace) -> (SignalInfo, Trap) {
    let signal = c_int::from(exception.death().signal.number());
    let rip = exception.frame.rip;
    let is_page_fault = exception.vector == PAGE_FAULT;
    let info = match exception.vector {
        _ if exception.is_32_bit_call => SignalInfo::of_fault(signal, SI_KERNEL, 0),
        0 => SignalInfo::of_fault(signal, FPE_INTDIV, rip),
        1 => SignalInfo::of_fault(signal, libc::TRAP_TRACE, rip),
        6 => SignalInfo::of_fault(signal, ILL_ILLOPN, rip),
        PAGE_FAULT => {
            let code = if memory.is_mapped(exception.fault_address) {
                SEGV_ACCERR
            } else {
                SEGV_MAPERR
            };
            SignalInfo::of_fault(signal, code, exception.fault_address)
        }
        16 | 19 => SignalInfo::of_fault(signal, FPE_FLTUNK, rip),
        17 => SignalInfo::of_fault(signal, libc::BUS_ADRALN, rip),
        _ => SignalInfo::of_fault(signal, SI_KERNEL, 0),
    };
    let trap = Trap {
        vector: exception.vector.into(),
        error_code: exception.frame.error_code,
        address: if is_page_fault {
            exception.fault_address
        } else {
            0
        },
    };
    (info, trap)
}
