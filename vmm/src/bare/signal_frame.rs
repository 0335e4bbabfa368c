//! What Linux puts on a thread's stack to run a signal's handler, and takes from there at the
//! handler's end (`struct rt_sigframe` in `arch/x86/kernel/signal_64.c`).
//!
//! | offset | holds |
//! |---|---|
//! | 0 | the address to which the handler returns |
//! | 8 | `struct ucontext`: flags, link, alternate stack, registers, mask |
//! | 312 | `siginfo_t` |
//!
//! The vector registers lie above the frame, in the layout of XSAVE with Linux's own marks.

use std::arch::x86_64::{__cpuid, __cpuid_count};

use kvm_bindings::kvm_regs;
use nix::libc;

use super::address_space::{AddressSpace, Fault};
use super::layout::USER_HALF_END;
use super::registers::user_flags;
use super::syscalls::{Delivery, STACK, low_half, stack_bytes, word};
use super::trampoline::{USER_CODE, USER_DATA};
use crate::kvm::extended_state::{ExtendedState, STATE};

/// The bytes below the stack pointer that a function may use without moving it (System V ABI for
/// x86-64, 3.2.2).
const RED_ZONE: u64 = 128;
const CONTEXT: usize = 8;
const CONTEXT_STACK: usize = CONTEXT + 16;
const REGISTERS: usize = CONTEXT + 40;
const MASK: usize = CONTEXT + 296;
const INFO: usize = CONTEXT + 304;
/// The bytes of the frame.
const FRAME: usize = INFO + 128;
/// `UC_FP_XSTATE`, `UC_SIGCONTEXT_SS` and `UC_STRICT_RESTORE_SS` (`asm/ucontext.h`).
const CONTEXT_FLAGS: u64 = 1 | 2 | 4;

// Places in `struct sigcontext` (`asm/sigcontext.h`).
const SELECTORS: usize = REGISTERS + 144;
const ERROR_CODE: usize = REGISTERS + 152;
const VECTOR: usize = REGISTERS + 160;
const OLD_MASK: usize = REGISTERS + 168;
const FAULT_ADDRESS: usize = REGISTERS + 176;
const EXTENDED_STATE: usize = REGISTERS + 184;

// Places in the XSAVE area, and Linux's marks there (`struct _fpx_sw_bytes`).
const MXCSR: usize = 24;
const LINUX_BYTES: usize = 464;
const LEGACY: usize = 512;
const FEATURES: usize = 512;
const HEADER_END: usize = 576;
const MAGIC_1: u32 = 0x4650_5853;
const MAGIC_2: u32 = 0x4650_5845;
/// The bits of MXCSR that exist.
const MXCSR_BITS: u32 = 0xffff;
/// The x87 and SSE state.
const LEGACY_FEATURES: u64 = 3;

/// What a handler's frame brings back.
#[derive(Debug)]
pub(super) struct Restored {
    /// The general registers.
    pub registers: kvm_regs,
    /// The vector registers.
    pub extended: ExtendedState,
    /// The mask.
    pub blocked: u64,
    /// The bytes of the alternate stack's `stack_t`.
    pub stack: [u8; STACK],
}

/// A frame that can't be written or read (the stack is used up or not mapped), or that leads out of
/// the user half. An address there that is not canonical would end the VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadFrame;

impl From<Fault> for BadFrame {
    fn from(_: Fault) -> Self {
        Self
    }
}

/// Writes the frame of a handler's run, and returns the registers with which the handler starts.
///
/// # Errors
/// The frame can't be written. Linux kills the program by SIGSEGV then.
pub(super) fn push(
    memory: &mut AddressSpace,
    registers: &kvm_regs,
    extended: &ExtendedState,
    delivery: &Delivery,
) -> Result<kvm_regs, BadFrame> {
    if !delivery.action.has(SA_RESTORER) || delivery.action.handler >= USER_HALF_END {
        return Err(BadFrame);
    }
    let mut top = registers.rsp.wrapping_sub(RED_ZONE);
    let alternate = delivery
        .stack
        .filter(|_| delivery.action.has(libc::SA_ONSTACK));
    if let Some(stack) = alternate.filter(|stack| !stack.holds(registers.rsp)) {
        top = stack.start.wrapping_add(stack.size);
    }
    let extended = marked(extended.to_bytes());
    let extended_at = top.wrapping_sub(extended.len() as u64) & !63;
    let frame_at = (extended_at.wrapping_sub(FRAME as u64) & !15).wrapping_sub(8);
    if alternate.is_some_and(|stack| !stack.holds(frame_at)) {
        return Err(BadFrame);
    }
    memory.write(extended_at, &extended)?;
    memory.write(frame_at, &frame(registers, extended_at, delivery))?;
    Ok(kvm_regs {
        rip: delivery.action.handler,
        rsp: frame_at,
        rflags: user_flags(registers.rflags & !CLEARED_FLAGS),
        rax: 0,
        rdi: u64::from(delivery.info.signal().unsigned_abs()),
        rsi: frame_at.wrapping_add(INFO as u64),
        rdx: frame_at.wrapping_add(CONTEXT as u64),
        ..*registers
    })
}

/// The flags with which no handler starts: TF, DF and RF.
const CLEARED_FLAGS: u64 = 0x1_0500;
/// `SA_RESTORER` (`asm/signal.h`).
const SA_RESTORER: libc::c_int = 0x0400_0000;

fn frame(registers: &kvm_regs, extended_at: u64, delivery: &Delivery) -> [u8; FRAME] {
    let mut frame = [0; FRAME];
    let mut put = |at: usize, bytes: &[u8]| frame[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &delivery.action.restorer.to_le_bytes());
    put(CONTEXT, &CONTEXT_FLAGS.to_le_bytes());
    put(CONTEXT_STACK, &stack_bytes(delivery.stack, registers.rsp));
    for (index, register) in in_order(registers).into_iter().enumerate() {
        put(REGISTERS + 8 * index, &register.to_le_bytes());
    }
    put(SELECTORS, &USER_CODE.to_le_bytes());
    put(SELECTORS + 6, &USER_DATA.to_le_bytes());
    put(ERROR_CODE, &delivery.trap.error_code.to_le_bytes());
    put(VECTOR, &delivery.trap.vector.to_le_bytes());
    put(OLD_MASK, &delivery.blocked_after.to_le_bytes());
    put(FAULT_ADDRESS, &delivery.trap.address.to_le_bytes());
    put(EXTENDED_STATE, &extended_at.to_le_bytes());
    put(MASK, &delivery.blocked_after.to_le_bytes());
    put(INFO, delivery.info.bytes());
    frame
}

/// The general registers in the order of `struct sigcontext`.
const fn in_order(registers: &kvm_regs) -> [u64; 18] {
    [
        registers.r8,
        registers.r9,
        registers.r10,
        registers.r11,
        registers.r12,
        registers.r13,
        registers.r14,
        registers.r15,
        registers.rdi,
        registers.rsi,
        registers.rbp,
        registers.rbx,
        registers.rdx,
        registers.rax,
        registers.rcx,
        registers.rsp,
        registers.rip,
        registers.rflags,
    ]
}

/// Reads the frame of a handler that has returned. `registers` are those at the handler's end.
///
/// # Errors
/// The frame can't be read. Linux kills the program by SIGSEGV then.
pub(super) fn pop(memory: &AddressSpace, registers: &kvm_regs) -> Result<Restored, BadFrame> {
    let mut frame = [0; INFO];
    memory.read(registers.rsp.wrapping_sub(8), &mut frame)?;
    let mut saved = [0; 18];
    for (index, register) in saved.iter_mut().enumerate() {
        *register = word(&frame, REGISTERS + 8 * index);
    }
    let [
        r8,
        r9,
        r10,
        r11,
        r12,
        r13,
        r14,
        r15,
        rdi,
        rsi,
        rbp,
        rbx,
        rdx,
        rax,
        rcx,
        rsp,
        rip,
        flags,
    ] = saved;
    if rip >= USER_HALF_END {
        return Err(BadFrame);
    }
    let mut stack = [0; STACK];
    stack.copy_from_slice(&frame[CONTEXT_STACK..CONTEXT_STACK + STACK]);
    Ok(Restored {
        registers: kvm_regs {
            rax,
            rbx,
            rcx,
            rdx,
            rsi,
            rdi,
            rsp,
            rbp,
            r8,
            r9,
            r10,
            r11,
            r12,
            r13,
            r14,
            r15,
            rip,
            rflags: user_flags(flags),
        },
        extended: read_extended(memory, word(&frame, EXTENDED_STATE))?,
        blocked: word(&frame, MASK),
        stack,
    })
}

/// The vector registers at `at`, as the program left them in the frame. At address 0 there are none,
/// and all are zero.
fn read_extended(memory: &AddressSpace, at: u64) -> Result<ExtendedState, BadFrame> {
    let (size, features) = size_and_features();
    let mut bytes = vec![0; STATE];
    if at == 0 {
        put_word(&mut bytes, MXCSR, 0x1f80);
        return Ok(ExtendedState::from_bytes(&bytes));
    }
    memory.read(at, &mut bytes[..LEGACY])?;
    let mut wanted = LEGACY_FEATURES;
    if low_half(word(&bytes, LINUX_BYTES)) == MAGIC_1 {
        memory.read(at, &mut bytes[..size])?;
        wanted = word(&bytes, FEATURES) & features;
    }
    // KVM refuses what the processor would refuse.
    bytes[LINUX_BYTES..LEGACY].fill(0);
    bytes[FEATURES..HEADER_END].fill(0);
    bytes[FEATURES..FEATURES + 8].copy_from_slice(&wanted.to_le_bytes());
    let mxcsr = low_half(word(&bytes, MXCSR)) & MXCSR_BITS;
    put_word(&mut bytes, MXCSR, mxcsr);
    Ok(ExtendedState::from_bytes(&bytes))
}

fn put_word(bytes: &mut [u8], at: usize, word: u32) {
    bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
}

/// The XSAVE area with the marks by which programs find its size.
fn marked(mut bytes: Vec<u8>) -> Vec<u8> {
    let (size, features) = size_and_features();
    bytes.truncate(size);
    let length = u32::try_from(size).unwrap_or_default();
    put_word(&mut bytes, LINUX_BYTES, MAGIC_1);
    put_word(&mut bytes, LINUX_BYTES + 4, length + 4);
    bytes[LINUX_BYTES + 8..LINUX_BYTES + 16].copy_from_slice(&features.to_le_bytes());
    put_word(&mut bytes, LINUX_BYTES + 16, length);
    bytes.extend(MAGIC_2.to_le_bytes());
    bytes
}

/// The bytes of the XSAVE area with the features of this processor, and these features (Intel SDM
/// vol. 1, 13.2). AMX is not among them, since no program of this VMM can ask for AMX.
fn size_and_features() -> (usize, u64) {
    const HAS_XSAVE: u32 = 1 << 27;
    const LEAF: u32 = 0xd;
    const AMX: u64 = 3 << 17;
    if __cpuid(1).ecx & HAS_XSAVE == 0 {
        return (HEADER_END, LEGACY_FEATURES);
    }
    let leaf = __cpuid_count(LEAF, 0);
    let features = (u64::from(leaf.edx) << 32 | u64::from(leaf.eax)) & !AMX;
    let ends = (2..63_u32).filter(|feature| features & 1 << feature != 0);
    let ends = ends.map(|feature| {
        let part = __cpuid_count(LEAF, feature);
        usize::try_from(part.eax + part.ebx).unwrap_or(STATE)
    });
    let size = ends.max().unwrap_or(HEADER_END);
    (size.clamp(HEADER_END, STATE), features)
}
