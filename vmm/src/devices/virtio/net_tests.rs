//! The network card, with a pair of datagram sockets in place of a TAP device: packets in both
//! directions, and drivers that break the rules.

use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use vm_memory::{Bytes as _, GuestAddress};

use super::driver::{BUFFERS, Driver, Entry, MEMORY, NEXT, TABLE, WRITE};
use super::net::Net;

const RECEIVE: u32 = 0;
const TRANSMIT: u32 = 1;
const EVENT_INDEX: u64 = 1 << 29;
const ADDRESS: [u8; 6] = [2, 0, 0, 0, 0, 7];
/// A header, as the host writes one, and a packet.
const PACKET: [u8; 12 + 60] = [9; 72];

/// A card, and the host's end of its network.
fn card() -> (Net, UnixDatagram) {
    let (tap, host) = UnixDatagram::pair().unwrap();
    for end in [&tap, &host] {
        end.set_nonblocking(true).unwrap();
    }
    (Net::new(tap.into(), ADDRESS), host)
}

fn driver(queue: u32, features: u64) -> (Driver, UnixDatagram) {
    let (card, host) = card();
    let driver = Driver::of_queue(queue, Box::new(card), features, 16);
    (driver, host)
}

/// Gives the driver's chain `head` one buffer of two pieces for a packet.
fn offer(driver: &Driver, head: u16, length: u32) {
    let address = BUFFERS + u64::from(head) * 4096;
    let piece = |address, length, flags, next| Entry {
        address,
        length,
        flags,
        next,
    };
    driver.put(TABLE, head, piece(address, 10, WRITE | NEXT, head + 1));
    let rest = piece(address + 10, length - 10, WRITE, 0);
    driver.put(TABLE, head + 1, rest);
}

fn received(driver: &Driver, head: u16) -> Vec<u8> {
    let (_, last, length) = driver.used();
    assert_eq!(last, u32::from(head));
    let mut packet = vec![0; length as usize];
    let at = GuestAddress(BUFFERS + u64::from(head) * 4096);
    driver.memory.read_slice(&mut packet, at).unwrap();
    packet
}

#[test]
fn a_packet_goes_out_whole() {
    let (mut driver, host) = driver(TRANSMIT, 0);
    let memory = &driver.memory;
    memory.write_slice(&PACKET, GuestAddress(BUFFERS)).unwrap();
    for (index, address, length, flags) in [(0, BUFFERS, 12, NEXT), (1, BUFFERS + 12, 60, 0)] {
        let entry = Entry {
            address,
            length,
            flags,
            next: 1,
        };
        driver.put(TABLE, index, entry);
    }
    driver.submit(0).unwrap();
    let mut sent = [0; 100];
    assert_eq!(host.recv(&mut sent).unwrap(), PACKET.len());
    assert_eq!(sent[..PACKET.len()], PACKET);
    assert_eq!(driver.used(), (1, 0, 0));
}

#[test]
fn a_packet_that_the_host_does_not_take_is_lost_and_its_buffer_given_back() {
    let (mut driver, host) = driver(TRANSMIT, 0);
    drop(host);
    let entry = |length| Entry {
        address: BUFFERS,
        length,
        flags: 0,
        next: 0,
    };
    for (count, length) in [(1, 72), (2, 1 << 20), (3, 0)] {
        driver.put(TABLE, 0, entry(length));
        driver.submit(0).unwrap();
        assert_eq!(driver.used().0, count);
    }
}

#[test]
fn a_packet_comes_in_once_there_is_room() {
    let (mut driver, host) = driver(RECEIVE, EVENT_INDEX);
    host.send(&PACKET).unwrap();
    let Driver {
        transport, memory, ..
    } = &mut driver;
    transport.serve(0, memory).unwrap();
    assert_eq!(driver.used().0, 0);
    offer(&driver, 2, 1526);
    driver.submit(2).unwrap();
    let mut expected = PACKET;
    // The header says that the packet takes one buffer.
    expected[10..12].copy_from_slice(&[1, 0]);
    assert_eq!(received(&driver, 2), expected);
    // The next one waits for its packet.
    offer(&driver, 4, 20);
    driver.submit(4).unwrap();
    assert_eq!(driver.used().0, 1);
    host.send(&PACKET).unwrap();
    let Driver {
        transport, memory, ..
    } = &mut driver;
    transport.serve(0, memory).unwrap();
    assert_eq!(driver.used().0, 2);
    assert_eq!(received(&driver, 4), expected[..20], "the rest is cut off");
}

#[test]
fn buffers_too_small_for_a_header_are_refused() {
    let (mut driver, host) = driver(RECEIVE, 0);
    host.send(&PACKET).unwrap();
    offer(&driver, 0, 11);
    let error = driver.submit(0).unwrap_err().to_string();
    assert!(error.contains("the network breaks the rules"), "{error}");
}

#[test]
fn the_worker_waits_for_room_and_then_for_packets() {
    let (card, host) = card();
    let worker = card.worker().unwrap();
    let mut driver = Driver::of_queue(RECEIVE, Box::new(card), EVENT_INDEX, 16);
    host.send(&PACKET).unwrap();
    for head in [0, 2, 4] {
        offer(&driver, head, 1526);
    }
    // The first packet goes to the driver's first buffer, and the worker fills the others.
    for head in [0, 2, 4] {
        driver.submit(head).unwrap();
    }
    assert_eq!(driver.used().0, 1);
    let memory = driver.memory.clone();
    let Driver { transport, .. } = driver;
    let transport = Arc::new(Mutex::new(transport));
    let thread = std::thread::spawn({
        let (transport, memory) = (transport.clone(), memory.clone());
        move || worker.run(&transport, &memory)
    });
    for _ in 0..3 {
        host.send(&PACKET).unwrap();
    }
    let count = || -> u16 {
        let at = GuestAddress(super::driver::USED + 2);
        memory.read_obj(at).unwrap()
    };
    while count() < 3 {
        std::thread::sleep(Duration::from_millis(1));
    }
    // The last packet waits for room: the worker sleeps, and has not ended.
    assert!(!thread.is_finished());
    // A broken ring ends the worker.
    memory
        .write_obj(500_u16, GuestAddress(super::driver::AVAILABLE + 2))
        .unwrap();
    let notice = transport.lock().unwrap().serve(0, &memory);
    notice.unwrap_err();
}

#[test]
fn the_card_says_its_address() {
    let (driver, _host) = driver(RECEIVE, 0);
    let mut address = [0; 8];
    driver.transport.read(0x100, &mut address);
    assert_eq!(address, [2, 0, 0, 0, 0, 7, 0, 0]);
    assert_eq!(driver.read(8), 1, "a network card");
}

proptest! {
    #[test]
    fn no_descriptors_break_the_card(
        queue in 0_u32..2,
        entries in prop::collection::vec((0_u64..MEMORY + 4096, 0_u32..80_000, 0_u16..8), 16),
        heads in prop::collection::vec(0_u16..18, 1..8),
        packets in 0_usize..4,
        jump: u16,
    ) {
        let (mut driver, host) = driver(queue, EVENT_INDEX | 1 << 28);
        for _ in 0..packets {
            host.send(&PACKET).unwrap();
        }
        for (number, (address, length, flags)) in (0..).zip(entries) {
            driver.put(TABLE, number, Entry { address, length, flags, next: (number + 1) % 18 });
        }
        for head in heads {
            if driver.submit(head).is_err() {
                break;
            }
        }
        driver.set_available_index(jump);
        let _ = driver.write(0x50, queue);
    }
}
