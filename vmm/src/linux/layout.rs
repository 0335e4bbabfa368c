//! Every physical address, port and interrupt of the Linux guest's machine, and where each comes from.
//!
//! It is a PC as far as a kernel without ACPI looks: memory with a hole below 4 GiB, an interrupt controller of each
//! kind, a serial port, and devices of isobench's own at ports and addresses that a PC leaves free.

use std::ops::Range;

/// The tables for the kernel's first instructions: below what it uses itself, and the "zero page" at its usual place.
pub const GDT: u64 = 0x500;
/// `struct boot_params` (Documentation/arch/x86/zero-page.rst).
pub const ZERO_PAGE: u64 = 0x7000;
/// Seed of the kernel's random numbers (`struct setup_data`), in the page behind the zero page.
pub const RANDOM_SEED: u64 = 0x8000;
/// Three page tables that map the first gigabyte onto itself.
pub const PAGE_TABLES: u64 = 0x9000;
/// The command line.
pub const COMMAND_LINE: u64 = 0x2_0000;
/// Its longest, with the zero at its end (`COMMAND_LINE_SIZE` of arch/x86).
pub const COMMAND_LINE_SIZE: usize = 2048;
/// The processors' table, in the last kilobyte of base memory, where kernels look (MP specification 1.4, chapter 4).
pub const MP_TABLE: u64 = 0x9_fc00;
/// One past the end of base memory.
pub const BASE_MEMORY_END: u64 = 0xa_0000;
/// Where a kernel may be loaded from on, and memory goes on behind the video and firmware area.
pub const HIGH_MEMORY: u64 = 0x10_0000;

/// What is not memory below 4 GiB: devices, the interrupt controllers, KVM's own pages.
pub const DEVICE_HOLE: Range<u64> = 0xd000_0000..0x1_0000_0000;
/// Registers of the first virtio device.
pub const VIRTIO: u64 = DEVICE_HOLE.start;
/// Bytes of registers of one virtio device.
pub const VIRTIO_SIZE: u64 = 0x1000;
/// Most virtio devices.
pub const VIRTIO_COUNT: usize = 8;
/// Interrupt of the first virtio device; those of the others follow. Below lie the PC's own.
pub const VIRTIO_INTERRUPT: u32 = 5;
/// Three pages that KVM needs for real mode on older Intel processors (`KVM_SET_TSS_ADDR`).
pub const TASK_STATE: usize = 0xfffb_d000;
/// The I/O interrupt controller (its reset value).
pub const IO_APIC: u32 = 0xfec0_0000;
/// The processors' interrupt controllers (their reset value).
pub const LOCAL_APIC: u32 = 0xfee0_0000;

/// The first serial port, COM1.
pub const SERIAL: Range<u16> = 0x3f8..0x400;
/// Its interrupt.
pub const SERIAL_INTERRUPT: u32 = 4;
/// Status and command of the keyboard controller, which resets a PC.
pub const KEYBOARD: u16 = 0x64;

/// The program's standard output: a write passes on the RCX bytes at RSI, both of the guest's user space.
pub const OUTPUT_PORT: u16 = 0xe90;
/// The program's standard error.
pub const ERROR_PORT: u16 = 0xe91;
/// `/init` has started.
pub const MARK_PORT: u16 = 0xe92;
/// How many bytes of standard input `/init` has taken from the serial port.
pub const INPUT_PORT: u16 = 0xe93;
/// The program's exit code: the machine's end.
pub const EXIT_PORT: u16 = 0xe94;
