//! What a signal's handler is told of an instruction that failed (`arch/x86/kernel/traps.c` and
//! `arch/x86/mm/fault.c`).

use nix::libc::{self, c_int};

use super::address_space::AddressSpace;
use super::resume::Exception;
use super::syscalls::{SignalInfo, Trap};
use crate::kvm::{KvmError, Vcpu};

// `si_code` values (`asm-generic/siginfo.h`).
const SI_KERNEL: c_int = 0x80;
const SEGV_MAPERR: c_int = 1;
const SEGV_ACCERR: c_int = 2;
const FPE_INTDIV: c_int = 1;
// The codes of the bits by which x87 and SSE tell of an exception, lowest first: invalid, denormal,
// divide by zero, overflow, underflow, precision (Linux: `fpu__exception_code`).
const FLOATING_POINT: [c_int; 6] = [7, 5, 3, 4, 5, 6];
const ILL_ILLOPN: c_int = 2;

const PAGE_FAULT: u8 = 14;
const X87_ERROR: u8 = 16;
const SIMD_ERROR: u8 = 19;

/// The signal for an exception, and what the processor said of it.
///
/// # Errors
/// KVM does not tell the vector registers.
pub(super) fn signal_of(
    exception: &Exception,
    memory: &AddressSpace,
    vcpu: &Vcpu,
) -> Result<(SignalInfo, Trap), KvmError> {
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
        vector @ (X87_ERROR | SIMD_ERROR) => {
            let code = floating_point_code(vector, &vcpu.extended_state()?.to_bytes());
            SignalInfo::of_fault(signal, code, rip)
        }
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
    Ok((info, trap))
}

/// The code of a floating-point exception, from the XSAVE area (Intel SDM vol. 1, 8.1.3 and 10.2.3).
/// The lowest exception that is not masked counts.
fn floating_point_code(vector: u8, state: &[u8]) -> c_int {
    let half = |at: usize| {
        let half = state.get(at..).and_then(<[u8]>::first_chunk);
        half.copied().map_or(0, u16::from_le_bytes)
    };
    let raised = if vector == X87_ERROR {
        half(2) & !half(0)
    } else {
        half(24) & !(half(24) >> 7)
    };
    let raised = (0..)
        .zip(FLOATING_POINT)
        .find(|(bit, _)| raised & 1 << bit != 0);
    raised.map_or(0, |(_, code)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_exception_that_is_not_masked_counts() {
        let mut state = [0; 32];
        // Divide by zero and precision are raised; all but divide by zero are masked.
        state[24..26].copy_from_slice(&(0x24_u16 | 0x3b << 7).to_le_bytes());
        assert_eq!(floating_point_code(SIMD_ERROR, &state), 3);
        state[..2].copy_from_slice(&0x3e_u16.to_le_bytes());
        state[2..4].copy_from_slice(&0x21_u16.to_le_bytes());
        assert_eq!(floating_point_code(X87_ERROR, &state), 7);
        assert_eq!(floating_point_code(X87_ERROR, &[0; 32]), 0);
    }
}
