//! Several requests under way at the same time, past the host's page cache.

use std::sync::Mutex;
use std::time::Duration;

use vm_memory::{Bytes as _, GuestAddress};

use super::{FLUSH, OK, direct_disk};
use crate::devices::virtio::driver::{BUFFERS, Driver, Entry, NEXT, TABLE, USED, WRITE};

/// Eight reads of a page each, of which the device hears at once; their statuses lie behind their headers.
fn ask_for_eight_pages(driver: &mut Driver) {
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
fn a_driver_that_starts_over_hears_of_nothing_that_was_under_way() {
    let (_file, block) = direct_disk();
    let mut driver = Driver::new(Box::new(block), FLUSH, 32);
    ask_for_eight_pages(&mut driver);
    let before = driver.used().0;
    driver.write(0x70, 0).unwrap();
    driver.transport.serve(0, &driver.memory).unwrap();
    assert_eq!(driver.used().0, before);
}

/// A call that a filter refuses ends this test's process.
#[test]
fn who_awaits_a_disk_works_within_the_filter() {
    let (_file, block) = direct_disk();
    let Some(awaiter) = block.awaiter().unwrap() else {
        eprintln!("skipped: this host gives no io_uring, or no O_DIRECT here");
        return;
    };
    let mut driver = Driver::new(Box::new(block), FLUSH, 32);
    ask_for_eight_pages(&mut driver);
    let memory = driver.memory.clone();
    std::thread::spawn(move || {
        crate::confine::confine_thread_of_linux_guest();
        awaiter.run(&Mutex::new(driver.transport), &driver.memory)
    });
    while memory.read_obj::<u16>(GuestAddress(USED + 2)).unwrap() < 8 {
        std::thread::sleep(Duration::from_millis(1));
    }
}
