//! Every physical address, port and interrupt of the Linux guest's machine, and the source of each.
//!
//! To a kernel without ACPI the machine looks like a PC: memory with a hole below 4 GiB, an
//! interrupt controller of each kind, a serial port, and isobench's own devices at ports and
//! addresses that a PC leaves free.

use std::ops::Range;

use bytesize::ByteSize;

/// The descriptors of the kernel's first segments. They lie below the memory that a kernel uses.
pub const GDT: u64 = 0x500;
/// `struct boot_params`, the "zero page" (Documentation/arch/x86/zero-page.rst), at its usual
/// place.
pub const ZERO_PAGE: u64 = 0x7000;
/// The seed of the kernel's random numbers (`struct setup_data`), in the page after the zero page.
pub const RANDOM_SEED: u64 = 0x8000;
/// Three page tables that map the first gigabyte onto itself.
pub const PAGE_TABLES: u64 = 0x9000;
/// The command line.
pub const COMMAND_LINE: u64 = 0x2_0000;
/// The most bytes of the command line, with the zero at its end (`COMMAND_LINE_SIZE` of arch/x86).
pub const COMMAND_LINE_SIZE: usize = 2048;
/// The processors' table, in the last kilobyte of base memory, where kernels look (MP specification
/// 1.4, chapter 4).
pub const MP_TABLE: u64 = 0x9_fc00;
/// One past the end of base memory.
pub const BASE_MEMORY_END: u64 = 0xa_0000;
/// The lowest address for a kernel. Memory goes on here, behind the area for video and firmware.
pub const HIGH_MEMORY: u64 = 0x10_0000;

/// The range below 4 GiB that is not memory: devices, the interrupt controllers, KVM's own pages.
pub const DEVICE_HOLE: Range<u64> = 0xd000_0000..0x1_0000_0000;
/// The registers of the first virtio device.
pub const VIRTIO: u64 = DEVICE_HOLE.start;
/// The bytes of registers of one virtio device.
pub const VIRTIO_SIZE: u64 = 0x1000;
/// The most virtio devices.
pub const VIRTIO_COUNT: usize = 8;
/// The interrupt of the first virtio device. Those of the others follow, and the PC's own lie
/// below.
pub const VIRTIO_INTERRUPT: u32 = 5;
/// Three pages that KVM needs for real mode on older Intel processors (`KVM_SET_TSS_ADDR`).
pub const TASK_STATE: usize = 0xfffb_d000;
/// The I/O interrupt controller (its address after reset).
pub const IO_APIC: u32 = 0xfec0_0000;
/// The processors' interrupt controllers (their address after reset).
pub const LOCAL_APIC: u32 = 0xfee0_0000;

/// The first serial port, COM1.
pub const SERIAL: Range<u16> = 0x3f8..0x400;
/// The serial port's interrupt.
pub const SERIAL_INTERRUPT: u32 = 4;
/// Status and command of the keyboard controller, which resets a PC.
pub const KEYBOARD: u16 = 0x64;

/// The program's standard output. A write passes on the RCX bytes at RSI, an address of the guest's
/// user space.
pub const OUTPUT_PORT: u16 = 0xe90;
/// The program's standard error, passed on in the same way.
pub const ERROR_PORT: u16 = 0xe91;
/// A write says that `/init` has started.
pub const MARK_PORT: u16 = 0xe92;
/// The program's standard input. A write fills the RCX bytes at RSI: first the number of bytes of
/// input, then the bytes.
pub const INPUT_PORT: u16 = 0xe93;
/// A write passes the program's exit code, and ends the machine.
pub const EXIT_PORT: u16 = 0xe94;

/// The guest addresses and the lengths of the regions that `size` bytes of memory fall into.
pub fn memory_regions(size: ByteSize) -> Vec<(u64, u64)> {
    let low = size.as_u64().min(DEVICE_HOLE.start);
    let mut regions = vec![(0, low)];
    if size.as_u64() > low {
        regions.push((DEVICE_HOLE.end, size.as_u64() - low));
    }
    regions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_leaves_the_hole_for_devices_free() {
        assert_eq!(memory_regions(ByteSize::mib(128)), [(0, 128 << 20)]);
        assert_eq!(
            memory_regions(ByteSize::gib(4)),
            [(0, 0xd000_0000), (1 << 32, 0x3000_0000)]
        );
    }
}
