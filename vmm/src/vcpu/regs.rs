//! The registers a program starts with.

use kvm_bindings::{Msrs, kvm_msr_entry, kvm_regs, kvm_segment, kvm_sregs};

use crate::bare::trampoline;
use crate::kvm::KvmKind;

pub(crate) const CR0_PE: u64 = 1;
const CR0_MP: u64 = 1 << 1;
const CR0_ET: u64 = 1 << 4;
const CR0_NE: u64 = 1 << 5;
const CR0_WP: u64 = 1 << 16;
const CR0_AM: u64 = 1 << 18;
pub(crate) const CR0_PG: u64 = 1 << 31;

pub(crate) const CR4_PAE: u64 = 1 << 5;
const CR4_OSFXSR: u64 = 1 << 9;
const CR4_OSXMMEXCPT: u64 = 1 << 10;
const CR4_OSXSAVE: u64 = 1 << 18;

const EFER_SCE: u64 = 1;
pub(crate) const EFER_LME: u64 = 1 << 8;
pub(crate) const EFER_LMA: u64 = 1 << 10;
const EFER_NXE: u64 = 1 << 11;

const MSR_STAR: u32 = 0xc000_0081;
const MSR_LSTAR: u32 = 0xc000_0082;
const MSR_FMASK: u32 = 0xc000_0084;
/// The base of FS, where thread-local storage hangs.
pub(crate) const MSR_FS_BASE: u32 = 0xc000_0100;
/// The base of GS.
pub(crate) const MSR_GS_BASE: u32 = 0xc000_0101;

/// The write-through bit of CR3: page walks only read, so toggling it is no more than a new value for the same root.
pub(crate) const CR3_TOGGLE: u64 = 1 << 3;

/// RFLAGS: the bit that is always one.
pub(crate) const RFLAGS_RESERVED: u64 = 2;
/// RFLAGS: always one, and interrupts enabled, as Linux programs see them.
const RFLAGS_BASE: u64 = 0x202;
/// The flags that a program may set by itself: CF PF AF ZF SF TF DF OF NT RF AC ID.
const RFLAGS_USER: u64 = 0x25_4dd5;
/// What `SYSCALL` clears: TF IF DF NT AC.
const FMASK: u64 = 0x4_4700;

/// What APIC base holds after reset (Intel SDM vol. 3A, 11.4.4). There is no APIC; KVM wants a valid value.
const APIC_BASE: u64 = 0xfee0_0900;

/// The flags to go on with in ring 3, from those the program asks for.
pub(crate) const fn user_flags(wanted: u64) -> u64 {
    wanted & RFLAGS_USER | RFLAGS_BASE
}

/// General registers at the program's entry (System V ABI, 3.4.1: all zero but the stack pointer).
pub(crate) fn entry_registers(entry: u64, stack: u64) -> kvm_regs {
    kvm_regs {
        rip: entry,
        rsp: stack,
        rflags: user_flags(0),
        ..kvm_regs::default()
    }
}

/// Long mode, ring 3.
pub(crate) fn system_registers(kind: KvmKind, root: u64) -> kvm_sregs {
    // On the software kind ring 3 runs with the host's CR4 and XCR0 anyway, and KVM switches XCR0 at each entry if
    // the guest's differs. Without OSXSAVE it leaves the host's in place.
    let osxsave = match kind {
        KvmKind::Hardware => CR4_OSXSAVE,
        KvmKind::Software => 0,
    };
    let code = segment(trampoline::USER_CODE, 0xb, true);
    let data = segment(trampoline::USER_DATA, 0x3, false);
    kvm_sregs {
        cs: code,
        ds: data,
        es: data,
        fs: data,
        gs: data,
        ss: data,
        tr: trampoline::task(),
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

/// Changes to ring 0.
pub(crate) fn make_ring0(registers: &mut kvm_sregs) {
    registers.cs = segment(trampoline::KERNEL_CODE, 0xb, true);
    registers.ss = segment(trampoline::KERNEL_DATA, 0x3, false);
}

/// A flat segment of the ring that its selector names.
pub(crate) fn segment(selector: u16, kind: u8, is_code: bool) -> kvm_segment {
    kvm_segment {
        base: 0,
        limit: u32::MAX,
        selector,
        type_: kind,
        present: 1,
        dpl: u8::from(selector & 3 == 3) * 3,
        db: u8::from(!is_code),
        s: 1,
        l: u8::from(is_code),
        g: 1,
        ..kvm_segment::default()
    }
}

/// The registers behind `SYSCALL`.
pub(crate) fn system_call_msrs() -> Msrs {
    msrs(&[
        (MSR_STAR, trampoline::STAR),
        (MSR_LSTAR, trampoline::SYSTEM_CALL_STUB),
        (MSR_FMASK, FMASK),
    ])
}

/// A list for `KVM_SET_MSRS`.
pub(crate) fn msrs(values: &[(u32, u64)]) -> Msrs {
    let entries: Vec<_> = values
        .iter()
        .map(|&(index, data)| kvm_msr_entry {
            index,
            data,
            ..kvm_msr_entry::default()
        })
        .collect();
    Msrs::from_entries(&entries).expect("a handful of MSRs fits")
}
