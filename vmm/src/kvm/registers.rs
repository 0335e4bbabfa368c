//! Names for bits of the x86-64 registers, and the structures in which KVM takes registers.

use kvm_bindings::{Msrs, kvm_msr_entry, kvm_segment};

// Control registers (Intel SDM vol. 3A, 2.5).
pub(crate) const CR0_PE: u64 = 1;
pub(crate) const CR0_MP: u64 = 1 << 1;
pub(crate) const CR0_ET: u64 = 1 << 4;
pub(crate) const CR0_NE: u64 = 1 << 5;
pub(crate) const CR0_WP: u64 = 1 << 16;
pub(crate) const CR0_AM: u64 = 1 << 18;
pub(crate) const CR0_PG: u64 = 1 << 31;
/// The write-through bit of CR3. The processor only reads page tables in a page walk, so a change
/// of this bit has no effect but a new value of CR3 for the same root.
pub(crate) const CR3_WRITE_THROUGH: u64 = 1 << 3;
pub(crate) const CR4_PAE: u64 = 1 << 5;
pub(crate) const CR4_OSFXSR: u64 = 1 << 9;
pub(crate) const CR4_OSXMMEXCPT: u64 = 1 << 10;
pub(crate) const CR4_OSXSAVE: u64 = 1 << 18;

// `IA32_EFER` (Intel SDM vol. 3A, 2.2.1).
pub(crate) const EFER_SCE: u64 = 1;
pub(crate) const EFER_LME: u64 = 1 << 8;
pub(crate) const EFER_LMA: u64 = 1 << 10;
pub(crate) const EFER_NXE: u64 = 1 << 11;

/// The bit of RFLAGS that is always one (Intel SDM vol. 1, 3.4.3).
pub(crate) const RFLAGS_RESERVED: u64 = 2;

/// The value of `IA32_APIC_BASE` after reset (Intel SDM vol. 3A, 11.4.4). KVM demands a valid value
/// even of a VM without an APIC.
pub(crate) const APIC_BASE: u64 = 0xfee0_0900;

/// What a flat segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SegmentKind {
    /// 64-bit code.
    Code,
    /// Data and stack.
    Data,
}

/// A flat segment of the ring that `selector` names.
pub(crate) fn segment(selector: u16, kind: SegmentKind) -> kvm_segment {
    let is_code = kind == SegmentKind::Code;
    kvm_segment {
        base: 0,
        limit: u32::MAX,
        selector,
        // Accessed; readable code or writable data (Intel SDM vol. 3A, 3.4.5.1).
        type_: if is_code { 0xb } else { 0x3 },
        present: 1,
        dpl: u8::from(selector & 3 == 3) * 3,
        db: u8::from(!is_code),
        s: 1,
        l: u8::from(is_code),
        g: 1,
        ..kvm_segment::default()
    }
}

/// A list for `KVM_SET_MSRS`, from pairs of index and value.
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
