//! The registers with which a program starts, in ring 3 of a processor in long mode.

use kvm_bindings::{kvm_regs, kvm_segment, kvm_sregs};

use super::trampoline;
use crate::kvm::registers::{
    APIC_BASE, CR0_AM, CR0_ET, CR0_MP, CR0_NE, CR0_PE, CR0_PG, CR0_WP, CR4_OSFXSR, CR4_OSXMMEXCPT,
    CR4_OSXSAVE, CR4_PAE, EFER_LMA, EFER_LME, EFER_NXE, EFER_SCE, RFLAGS_RESERVED, SegmentKind,
    msrs, segment,
};
use crate::kvm::{KvmKind, StartRegisters};

// Model-specific registers of `SYSCALL` (Intel SDM vol. 3A, 5.8.8).
const MSR_STAR: u32 = 0xc000_0081;
const MSR_LSTAR: u32 = 0xc000_0082;
const MSR_FMASK: u32 = 0xc000_0084;
/// The register with the base of FS, to which thread-local storage is relative.
pub(crate) const MSR_FS_BASE: u32 = 0xc000_0100;
/// The register with the base of GS.
pub(crate) const MSR_GS_BASE: u32 = 0xc000_0101;

/// The bytes of the instruction `SYSCALL`, by which RIP goes back to make a call again.
pub(super) const SYSCALL: u64 = 2;

/// RFLAGS with interrupts enabled, as Linux programs see the register.
const RFLAGS_BASE: u64 = RFLAGS_RESERVED | 1 << 9;
/// The flags that a program may set by itself: CF PF AF ZF SF TF DF OF NT RF AC ID.
const RFLAGS_USER: u64 = 0x25_4dd5;
/// The flags that `SYSCALL` clears: TF IF DF NT AC.
const FMASK: u64 = 0x4_4700;

/// The registers of a processor for a program's start at `entry`, on the page tables at `root`.
pub(crate) fn at_entry(
    kind: KvmKind,
    processor: usize,
    root: u64,
    entry: u64,
    stack: u64,
) -> StartRegisters {
    StartRegisters {
        general: general_registers(entry, stack),
        system: system_registers(kind, processor, root),
        model_specific: msrs(&[
            (MSR_STAR, trampoline::STAR),
            (MSR_LSTAR, trampoline::SYSTEM_CALL_STUB),
            (MSR_FMASK, FMASK),
        ]),
    }
}

/// RFLAGS for ring 3, from the value `wanted` that the program asks for.
pub(crate) const fn user_flags(wanted: u64) -> u64 {
    wanted & RFLAGS_USER | RFLAGS_BASE
}

/// Changes `registers` to ring 0.
pub(crate) fn enter_ring0(registers: &mut kvm_sregs) {
    registers.cs = segment(trampoline::KERNEL_CODE, SegmentKind::Code);
    registers.ss = segment(trampoline::KERNEL_DATA, SegmentKind::Data);
}

/// Changes `registers` to ring 3, where an exception has left them in ring 0.
pub(crate) fn enter_ring3(registers: &mut kvm_sregs) {
    registers.cs = segment(trampoline::USER_CODE, SegmentKind::Code);
    registers.ss = segment(trampoline::USER_DATA, SegmentKind::Data);
}

/// The general registers at a program's entry: all zero but the stack pointer (System V ABI for
/// x86-64, 3.4.1).
fn general_registers(entry: u64, stack: u64) -> kvm_regs {
    kvm_regs {
        rip: entry,
        rsp: stack,
        rflags: user_flags(0),
        ..kvm_regs::default()
    }
}

/// Long mode, ring 3.
fn system_registers(kind: KvmKind, processor: usize, root: u64) -> kvm_sregs {
    // On software KVM, ring 3 runs with the host's CR4 and XCR0 in any case. If the guest's XCR0
    // differs, KVM switches XCR0 at each entry. Without OSXSAVE, KVM leaves the host's in place.
    let osxsave = match kind {
        KvmKind::Hardware => CR4_OSXSAVE,
        KvmKind::Software => 0,
    };
    let code = segment(trampoline::USER_CODE, SegmentKind::Code);
    let data = segment(trampoline::USER_DATA, SegmentKind::Data);
    kvm_sregs {
        cs: code,
        ds: data,
        es: data,
        fs: data,
        gs: data,
        ss: data,
        tr: trampoline::task(processor),
        ldt: kvm_segment {
            unusable: 1,
            ..kvm_segment::default()
        },
        gdt: trampoline::gdt(),
        idt: trampoline::idt(),
        cr0: CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG,
        cr3: root,
        cr4: CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | osxsave,
        efer: EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE,
        apic_base: APIC_BASE,
        ..kvm_sregs::default()
    }
}
