//! The "zero page": a boot loader's description of the machine for the kernel
//! (Documentation/arch/x86/boot.rst).

use bytesize::ByteSize;
use linux_loader::bootparam::{boot_e820_entry, boot_params, setup_header};
use linux_loader::configurator::linux::LinuxBootConfigurator;
use linux_loader::configurator::{self, BootConfigurator as _, BootParams};
use vm_memory::{Bytes as _, GuestAddress, GuestMemoryError};

use crate::linux::layout::{
    self, BASE_MEMORY_END, COMMAND_LINE, COMMAND_LINE_SIZE, HIGH_MEMORY, MP_TABLE, RANDOM_SEED,
    ZERO_PAGE,
};
use crate::memory::Memory;

const E820_RAM: u32 = 1;
const E820_RESERVED: u32 = 2;

/// The number of all boot loaders that have no number of their own.
const LOADER_UNDEFINED: u8 = 0xff;
const BOOT_FLAG: u16 = 0xaa55;
/// `HdrS`.
const HEADER_MAGIC: u32 = 0x5372_6448;
/// The boot protocol for a `vmlinux`: the first one that has all fields used here.
const PROTOCOL: u16 = 0x020c;
/// `LOADED_HIGH`, which holds for every `vmlinux`.
const LOADED_HIGH: u8 = 1;

/// `SETUP_RNG_SEED` (`asm/setup_data.h`).
const SETUP_RANDOM_SEED: u32 = 9;
/// The bytes of the seed: as many as the state of the kernel's generator has.
const SEED: usize = 32;

/// The zero page can't be written.
#[derive(Debug, thiserror::Error)]
pub enum BootParamsError {
    /// The address is outside of guest memory.
    #[error("writing to guest memory")]
    Memory(#[from] GuestMemoryError),
    /// linux-loader refuses to write the page.
    #[error("writing the zero page")]
    ZeroPage(#[from] configurator::Error),
}

/// The place of the guest's first file system in guest memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitramfsRange {
    /// The guest physical address.
    pub address: u32,
    /// The length in bytes.
    pub size: u32,
}

/// Writes the zero page, the command line and the random seed, for a kernel with `header`.
///
/// # Errors
/// Guest memory is too small for them.
///
/// # Panics
/// Never: a memory map has a handful of ranges.
pub fn write(
    memory: &Memory,
    size: ByteSize,
    header: setup_header,
    command_line: &[u8],
    initramfs: InitramfsRange,
    seed: &[u8; SEED],
) -> Result<(), BootParamsError> {
    memory.write_slice(command_line, GuestAddress(COMMAND_LINE))?;
    memory.write_slice(&seed_record(seed), GuestAddress(RANDOM_SEED))?;
    let mut params = boot_params {
        hdr: filled(header, initramfs),
        ..boot_params::default()
    };
    let map = memory_map(size);
    for (entry, (start, end, kind)) in params.e820_table.iter_mut().zip(&map) {
        *entry = boot_e820_entry {
            addr: *start,
            size: end - start,
            r#type: *kind,
        };
    }
    params.e820_entries = u8::try_from(map.len()).expect("a handful of ranges");
    let params = BootParams::new(&params, GuestAddress(ZERO_PAGE));
    Ok(LinuxBootConfigurator::write_bootparams(&params, memory)?)
}

/// The kernel's header with the fields that a boot loader fills in. A `vmlinux` has no header of
/// its own and gets a new one.
fn filled(header: setup_header, initramfs: InitramfsRange) -> setup_header {
    let header = if header.header == HEADER_MAGIC {
        header
    } else {
        setup_header {
            boot_flag: BOOT_FLAG,
            header: HEADER_MAGIC,
            version: PROTOCOL,
            loadflags: LOADED_HIGH,
            kernel_alignment: 0x20_0000,
            ..setup_header::default()
        }
    };
    setup_header {
        type_of_loader: LOADER_UNDEFINED,
        cmd_line_ptr: u32::try_from(COMMAND_LINE).expect("it lies in low memory"),
        cmdline_size: u32::try_from(COMMAND_LINE_SIZE - 1).expect("a few kilobytes"),
        ramdisk_image: initramfs.address,
        ramdisk_size: initramfs.size,
        setup_data: RANDOM_SEED,
        ..header
    }
}

/// The start, end and kind of each range of memory: all but the ranges that a PC keeps for itself,
/// and the MP table.
fn memory_map(size: ByteSize) -> Vec<(u64, u64, u32)> {
    let mut map = vec![
        (0, MP_TABLE, E820_RAM),
        (MP_TABLE, BASE_MEMORY_END, E820_RESERVED),
    ];
    for (start, length) in layout::memory_regions(size) {
        map.push((start.max(HIGH_MEMORY), start + length, E820_RAM));
    }
    map
}

/// A `struct setup_data` with the seed. It holds no next record, the kind, the length, and the
/// bytes.
fn seed_record(seed: &[u8; SEED]) -> Vec<u8> {
    let mut record = 0_u64.to_le_bytes().to_vec();
    record.extend_from_slice(&SETUP_RANDOM_SEED.to_le_bytes());
    record.extend_from_slice(&32_u32.to_le_bytes());
    record.extend_from_slice(seed);
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::map;

    #[test]
    fn the_memory_map_covers_all_but_a_pc_s_holes() {
        let usable = |size| {
            memory_map(size)
                .iter()
                .filter(|range| range.2 == E820_RAM)
                .map(|range| range.1 - range.0)
                .sum::<u64>()
        };
        for size in [ByteSize::mib(16), ByteSize::gib(3), ByteSize::gib(8)] {
            assert_eq!(size.as_u64() - usable(size), HIGH_MEMORY - MP_TABLE);
            let map = memory_map(size);
            assert!(
                map.windows(2).all(|pair| pair[0].1 <= pair[1].0),
                "{map:x?}"
            );
        }
    }

    #[test]
    fn the_zero_page_holds_what_the_protocol_asks_for() {
        let size = ByteSize::mib(16);
        let memory = map(&[(0, size.as_u64())]).unwrap();
        let initramfs = InitramfsRange {
            address: 0xf0_0000,
            size: 77,
        };
        write(
            &memory,
            size,
            setup_header::default(),
            b"quiet\0",
            initramfs,
            &[7; SEED],
        )
        .unwrap();
        // Offsets as in Documentation/arch/x86/zero-page.rst.
        let word = |at: u64| {
            memory
                .read_obj::<u32>(GuestAddress(ZERO_PAGE + at))
                .unwrap()
        };
        assert_eq!(word(0x1e8) & 0xff, 3);
        assert_eq!(word(0x202), HEADER_MAGIC);
        assert_eq!(
            (word(0x218), word(0x21c)),
            (initramfs.address, initramfs.size)
        );
        assert_eq!(u64::from(word(0x228)), COMMAND_LINE);
        assert_eq!(u64::from(word(0x250)), RANDOM_SEED);
        assert_eq!(
            memory
                .read_obj::<[u8; 6]>(GuestAddress(COMMAND_LINE))
                .unwrap(),
            *b"quiet\0"
        );
        assert_eq!(
            memory
                .read_obj::<u32>(GuestAddress(RANDOM_SEED + 8))
                .unwrap(),
            9
        );
        assert_eq!(
            memory
                .read_obj::<[u8; 32]>(GuestAddress(RANDOM_SEED + 16))
                .unwrap(),
            [7; 32]
        );
    }

    #[test]
    fn a_kernel_s_own_header_is_kept() {
        let own = setup_header {
            header: HEADER_MAGIC,
            version: 0x020f,
            init_size: 5,
            ..setup_header::default()
        };
        let passed = filled(
            own,
            InitramfsRange {
                address: 1,
                size: 2,
            },
        );
        let (version, init_size, loader) =
            (passed.version, passed.init_size, passed.type_of_loader);
        assert_eq!((version, init_size, loader), (0x020f, 5, LOADER_UNDEFINED));
    }
}
