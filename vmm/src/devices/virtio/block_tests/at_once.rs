//! Several requests under way at once, on a disk that bypasses the host's page cache.

use isobench_testing::{Need, skip};
use tempfile::NamedTempFile;
use vm_memory::{Bytes as _, GuestAddress};

use super::{FLUSH, OK, direct_disk};
use crate::devices::disk::HostDisk;
use crate::devices::virtio::driver::{BUFFERS, Driver, Entry, NEXT, TABLE, WRITE};
use crate::devices::virtio::transfer::DiskWorker;

/// A driver of a disk past the host's page cache, and the disk's worker. The result is `None` if
/// the host gives the disk no ring.
pub(crate) fn direct_driver() -> Option<(NamedTempFile, Driver, DiskWorker)> {
    let (file, block) = direct_disk();
    let Some(worker) = block.worker().unwrap() else {
        let device = HostDisk::open(file.path()).unwrap();
        let need = if device.supports_direct() {
            Need::IoUring
        } else {
            Need::DirectIo
        };
        skip(need, "this host gives the disk no ring");
        return None;
    };
    let driver = Driver::new(Box::new(block), FLUSH, 32);
    Some((file, driver, worker))
}

/// Asks for eight reads of a page each, with one notice. Each status lies behind its header.
pub(crate) fn ask_for_eight_pages(driver: &mut Driver) {
    let headers = BUFFERS;
    for number in 0..8_u16 {
        let header = headers + u64::from(number) * 32;
        let sector = u64::from(number) * 8;
        let memory = &driver.memory;
        memory.write_obj(0_u64, GuestAddress(header)).unwrap();
        memory.write_obj(sector, GuestAddress(header + 8)).unwrap();
        memory
            .write_obj(0xee_u8, GuestAddress(header + 16))
            .unwrap();
        let data = BUFFERS + 0x1000 * (1 + u64::from(number));
        for (index, address, length, flags) in [
            (0, header, 16, NEXT),
            (1, data, 4096, WRITE | NEXT),
            (2, header + 16, 1, WRITE),
        ] {
            let entry = Entry {
                address,
                length,
                flags,
                next: number * 3 + index + 1,
            };
            driver.put(TABLE, number * 3 + index, entry);
        }
        driver.offer(number * 3);
    }
    driver.write(0x50, 0).unwrap();
}

#[test]
fn each_of_several_reads_at_once_gets_its_own_bytes() {
    let (_file, block) = direct_disk();
    let mut driver = Driver::new(Box::new(block), FLUSH, 32);
    ask_for_eight_pages(&mut driver);
    driver.await_used(8);
    for number in 0..8_u8 {
        let read = |at| driver.memory.read_obj::<u8>(GuestAddress(at)).unwrap();
        assert_eq!(read(BUFFERS + u64::from(number) * 32 + 16), OK);
        let page = BUFFERS + 0x1000 * (1 + u64::from(number));
        assert_eq!(
            [read(page), read(page + 4095)],
            [number * 8, number * 8 + 7]
        );
    }
}

#[test]
fn a_driver_that_starts_over_gets_nothing_back_that_was_under_way() {
    let (_file, block) = direct_disk();
    let mut driver = Driver::new(Box::new(block), FLUSH, 32);
    ask_for_eight_pages(&mut driver);
    let before = driver.used().0;
    driver.write(0x70, 0).unwrap();
    driver.transport.serve(0, &driver.memory).unwrap();
    assert_eq!(driver.used().0, before);
}
