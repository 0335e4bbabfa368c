//! The table of processors and interrupts (Intel's MP specification 1.4). A kernel without ACPI
//! finds its other processors and the I/O interrupt controller by this table.

use crate::linux::layout::{
    IO_APIC, LOCAL_APIC, MP_TABLE, SERIAL_INTERRUPT, VIRTIO_COUNT, VIRTIO_INTERRUPT,
};

/// The most processors. Their entries fit between the table's address and the end of base memory.
pub const MOST_PROCESSORS: u8 = 32;

/// The interrupts of the ISA bus. Each is wired to the I/O controller's input of the same number.
const INTERRUPTS: u8 = 16;

// Kinds of entries.
const PROCESSOR: u8 = 0;
const BUS: u8 = 1;
const IO_CONTROLLER: u8 = 2;
const IO_INTERRUPT: u8 = 3;
const LOCAL_INTERRUPT: u8 = 4;

// Kinds of interrupts: vectored, non-maskable, by the old controllers.
const INT: u8 = 0;
const NMI: u8 = 1;
const EXT_INT: u8 = 3;

const ENABLED: u8 = 1;
const BOOT_PROCESSOR: u8 = 2;
/// The version of the controllers that KVM emulates.
const APIC_VERSION: u8 = 0x14;
const ALL_PROCESSORS: u8 = 0xff;

/// Builds the table for `processors` processors. Its address must be [`MP_TABLE`].
pub fn table(processors: u8) -> Vec<u8> {
    let io_controller = processors;
    let mut entries = Vec::new();
    for id in 0..processors {
        let boot = if id == 0 { BOOT_PROCESSOR } else { 0 };
        entries.extend([PROCESSOR, id, APIC_VERSION, ENABLED | boot]);
        // The signature and the features stay zero: kernels get them from CPUID.
        entries.extend([0; 16]);
    }
    entries.extend([BUS, 0]);
    entries.extend(b"ISA   ");
    entries.extend([IO_CONTROLLER, io_controller, APIC_VERSION, ENABLED]);
    entries.extend(IO_APIC.to_le_bytes());
    for line in 0..INTERRUPTS {
        entries.extend([IO_INTERRUPT, INT, 0, 0, 0, line, io_controller, line]);
    }
    entries.extend([LOCAL_INTERRUPT, EXT_INT, 0, 0, 0, 0, 0, 0]);
    entries.extend([LOCAL_INTERRUPT, NMI, 0, 0, 0, 0, ALL_PROCESSORS, 1]);
    let count = u16::from(processors) + 1 + 1 + u16::from(INTERRUPTS) + 2;
    [pointer(), header(&entries, count), entries].concat()
}

/// The structure for which a kernel searches. It lies before the table, and points to it.
fn pointer() -> Vec<u8> {
    const LENGTH: u64 = 16;
    let table = u32::try_from(MP_TABLE + LENGTH).expect("the table lies in base memory");
    let mut pointer = b"_MP_".to_vec();
    pointer.extend(table.to_le_bytes());
    // The length in units of 16 bytes, version 1.4, a checksum, and no default configuration.
    pointer.extend([1, 4, 0, 0, 0, 0, 0, 0]);
    pointer[10] = checksum(&pointer);
    pointer
}

fn header(entries: &[u8], count: u16) -> Vec<u8> {
    const LENGTH: usize = 44;
    let length = u16::try_from(LENGTH + entries.len()).expect("the table fits into a kilobyte");
    let mut header = b"PCMP".to_vec();
    header.extend(length.to_le_bytes());
    header.extend([4, 0]);
    header.extend(b"ISOBENCHMICROVM     ");
    // The maker has no table of its own.
    header.extend([0; 6]);
    header.extend(count.to_le_bytes());
    header.extend(LOCAL_APIC.to_le_bytes());
    header.extend([0; 4]);
    let sum = checksum(&header).wrapping_add(checksum(entries));
    header[7] = sum;
    header
}

/// The byte that makes the sum of all bytes zero.
fn checksum(bytes: &[u8]) -> u8 {
    let sum = bytes
        .iter()
        .fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
    sum.wrapping_neg()
}

const _: () = {
    assert!(SERIAL_INTERRUPT < INTERRUPTS as u32);
    assert!(VIRTIO_INTERRUPT as usize + VIRTIO_COUNT <= INTERRUPTS as usize);
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::layout::BASE_MEMORY_END;

    #[test]
    fn both_checksums_are_zero() {
        for processors in [1, 2, MOST_PROCESSORS] {
            let table = table(processors);
            assert_eq!(checksum(&table[..16]), 0);
            assert_eq!(checksum(&table[16..]), 0);
            let length = u16::from_le_bytes([table[20], table[21]]);
            assert_eq!(usize::from(length) + 16, table.len());
        }
    }

    #[test]
    fn the_largest_table_fits_into_base_memory() {
        assert!(table(MOST_PROCESSORS).len() as u64 <= BASE_MEMORY_END - MP_TABLE);
    }

    #[test]
    fn only_the_first_processor_boots() {
        let table = table(3);
        let flags: Vec<u8> = (0..3).map(|id| table[16 + 44 + id * 20 + 3]).collect();
        assert_eq!(flags, [3, 1, 1]);
    }
}
