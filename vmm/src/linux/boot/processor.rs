//! The processors' state at a kernel's start: what the 64-bit boot protocol demands, and what a
//! firmware would set.

use kvm_bindings::{CpuId, kvm_dtable, kvm_lapic_state, kvm_regs, kvm_segment, kvm_sregs};
use kvm_ioctls::{Cap, VcpuFd};
use vm_memory::{Bytes as _, GuestAddress, GuestMemoryError};

use crate::kvm::registers::{self, SegmentKind};
use crate::kvm::{Hypervisor, KvmError};
use crate::linux::layout::{GDT, PAGE_TABLES, ZERO_PAGE};
use crate::memory::Memory;

// The selectors of the boot protocol: `__BOOT_CS` and `__BOOT_DS`.
const BOOT_CODE: u16 = 0x10;
const BOOT_DATA: u16 = 0x18;
/// Two empty descriptors, one of flat 64-bit code, and one of flat data (Intel SDM vol. 3A, 3.4.5).
const DESCRIPTORS: [u64; 4] = [0, 0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff];

const PAGE_PRESENT: u64 = 1;
const PAGE_WRITABLE: u64 = 2;
const PAGE_LARGE: u64 = 1 << 7;

/// The register in which a firmware enables fast string operations (`IA32_MISC_ENABLE`).
const MSR_MISC_ENABLE: u32 = 0x1a0;
const FAST_STRINGS: u64 = 1;
/// The register that makes memory cached, write-back, unless page tables say otherwise
/// (`IA32_MTRR_DEF_TYPE`).
const MSR_MTRR_DEFAULT: u32 = 0x2ff;
const MTRR_WRITE_BACK: u64 = 1 << 11 | 6;

// Registers of the local interrupt controller, and the wiring of its two pins on a PC.
const LOCAL_PIN_0: usize = 0x350;
const LOCAL_PIN_1: usize = 0x360;
const DELIVER_EXT_INT: u32 = 0x700;
const DELIVER_NMI: u32 = 0x400;

// The leaves of `CPUID` that describe a single processor: its features, and the topology of two
// makers.
const LEAF_FEATURES: u32 = 1;
const LEAF_CACHES: u32 = 4;
const LEAF_TOPOLOGY: u32 = 0xb;
const LEAF_TOPOLOGY_V2: u32 = 0x1f;
const LEAF_AMD_SIZES: u32 = 0x8000_0008;
const LEAF_AMD_TOPOLOGY: u32 = 0x8000_001e;
const FEATURE_TSC_DEADLINE: u32 = 1 << 24;
/// The bit for "there is a hypervisor". A kernel searches for KVM's clock only if the bit is set,
/// and has to measure another clock otherwise.
const FEATURE_HYPERVISOR: u32 = 1 << 31;
const FEATURE_HYPERTHREADING: u32 = 1 << 28;

/// Gives vCPU `id` the features of the host's processor, alone in its socket.
pub(in crate::linux) fn identify(
    hypervisor: &Hypervisor,
    vcpu: &VcpuFd,
    id: u8,
    host: &CpuId,
) -> Result<(), KvmError> {
    let mut own = host.clone();
    let deadline = hypervisor.has(Cap::TscDeadlineTimer);
    for entry in own.as_mut_slice() {
        let number = u32::from(id);
        match entry.function {
            LEAF_FEATURES => {
                // EBX holds the interrupt controller's number, and how many processors share the
                // socket.
                entry.ebx = entry.ebx & 0xffff | number << 24 | 1 << 16;
                entry.edx &= !FEATURE_HYPERTHREADING;
                entry.ecx |= FEATURE_HYPERVISOR;
                if deadline {
                    entry.ecx |= FEATURE_TSC_DEADLINE;
                }
            }
            // EAX holds how many processors share a cache, and how many cores a socket has.
            LEAF_CACHES => entry.eax &= 0x3fff,
            // A core has one thread and a socket one core, so no bit of the number stands for
            // either.
            LEAF_TOPOLOGY | LEAF_TOPOLOGY_V2 => {
                (entry.eax, entry.ebx, entry.edx) = (0, entry.ebx.min(1), number);
            }
            LEAF_AMD_SIZES => entry.ecx = 0,
            LEAF_AMD_TOPOLOGY => (entry.eax, entry.ebx, entry.ecx) = (number, number, 0),
            _ => {}
        }
    }
    vcpu.set_cpuid2(&own)
        .map_err(KvmError::from_ioctl("KVM_SET_CPUID2"))
}

/// Wires the two pins of the local interrupt controller: one to the old controllers, and one to
/// non-maskable interrupts.
pub(in crate::linux) fn wire_interrupts(vcpu: &VcpuFd) -> Result<(), KvmError> {
    let mut state = vcpu
        .get_lapic()
        .map_err(KvmError::from_ioctl("KVM_GET_LAPIC"))?;
    set_delivery(&mut state, LOCAL_PIN_0, DELIVER_EXT_INT);
    set_delivery(&mut state, LOCAL_PIN_1, DELIVER_NMI);
    vcpu.set_lapic(&state)
        .map_err(KvmError::from_ioctl("KVM_SET_LAPIC"))
}

fn set_delivery(state: &mut kvm_lapic_state, register: usize, mode: u32) {
    for (byte, value) in state.regs[register..].iter_mut().zip(mode.to_le_bytes()) {
        *byte = value.cast_signed();
    }
}

/// Makes the first processor start the kernel at `entry`, in 64-bit mode, on page tables that map
/// the first gigabyte onto itself. The others wait for the first one, as KVM makes them.
pub(in crate::linux) fn set_start(vcpu: &VcpuFd, entry: u64) -> Result<(), KvmError> {
    let sregs = vcpu
        .get_sregs()
        .map_err(KvmError::from_ioctl("KVM_GET_SREGS"))?;
    vcpu.set_sregs(&boot_sregs(&sregs))
        .map_err(KvmError::from_ioctl("KVM_SET_SREGS"))?;
    vcpu.set_regs(&kvm_regs {
        rip: entry,
        rsi: ZERO_PAGE,
        rflags: registers::RFLAGS_RESERVED,
        ..kvm_regs::default()
    })
    .map_err(KvmError::from_ioctl("KVM_SET_REGS"))
}

/// Sets the model-specific registers as a firmware does. Without these values a kernel works, but
/// is slower.
pub(in crate::linux) fn set_msrs(vcpu: &VcpuFd) -> Result<(), KvmError> {
    vcpu.set_msrs(&registers::msrs(&[
        (MSR_MISC_ENABLE, FAST_STRINGS),
        (MSR_MTRR_DEFAULT, MTRR_WRITE_BACK),
    ]))
    .map(|_| ())
    .map_err(KvmError::from_ioctl("KVM_SET_MSRS"))
}

fn boot_sregs(reset: &kvm_sregs) -> kvm_sregs {
    let code = registers::segment(BOOT_CODE, SegmentKind::Code);
    let data = registers::segment(BOOT_DATA, SegmentKind::Data);
    let task = kvm_segment {
        limit: 0x67,
        type_: 0xb,
        present: 1,
        ..kvm_segment::default()
    };
    let limit = size_of_val(&DESCRIPTORS) - 1;
    kvm_sregs {
        cs: code,
        ds: data,
        es: data,
        fs: data,
        gs: data,
        ss: data,
        tr: task,
        gdt: kvm_dtable {
            base: GDT,
            limit: u16::try_from(limit).expect("a few descriptors"),
            ..kvm_dtable::default()
        },
        cr0: reset.cr0 | registers::CR0_PE | registers::CR0_PG,
        cr3: PAGE_TABLES,
        cr4: reset.cr4 | registers::CR4_PAE,
        efer: reset.efer | registers::EFER_LME | registers::EFER_LMA,
        ..*reset
    }
}

/// Writes the descriptors and the page tables on which [`set_start`] makes the processor run.
pub(in crate::linux) fn write_tables(memory: &Memory) -> Result<(), GuestMemoryError> {
    memory.write_obj(DESCRIPTORS, GuestAddress(GDT))?;
    let [root, upper, lower] = [0, 0x1000, 0x2000].map(|offset| PAGE_TABLES + offset);
    let table = PAGE_PRESENT | PAGE_WRITABLE;
    memory.write_obj(upper | table, GuestAddress(root))?;
    memory.write_obj(lower | table, GuestAddress(upper))?;
    let mut pages = [0_u64; 512];
    for (entry, index) in pages.iter_mut().zip(0_u64..) {
        *entry = index << 21 | table | PAGE_LARGE;
    }
    let bytes: Vec<u8> = pages.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    memory.write_slice(&bytes, GuestAddress(lower))
}
