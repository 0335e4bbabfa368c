//! Tests of the stack without a program: two guests on one wire, and hostile packets.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use nix::libc;
use proptest::prelude::*;

use super::connecting::Connecting;
use super::socket::{Ends, Sent};
use super::stack::Stack;
use super::{Net, Network, NetworkLink};
use crate::devices::host_io::GuestSlices;

const FIRST: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 1);
const SECOND: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 2);
const HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PORT: u16 = 80;

fn link(wire: UnixDatagram, address: Ipv4Addr, host: Ipv4Addr) -> NetworkLink {
    wire.set_nonblocking(true).unwrap();
    let [.., last] = address.octets();
    NetworkLink {
        tap: wire.into(),
        hardware_address: [2, 0, 0, 0, 0, last],
        address,
        prefix: 15,
        host,
    }
}

/// Two guests, each the other's host.
fn two() -> (Stack, Stack) {
    let (first, second) = UnixDatagram::pair().unwrap();
    (
        Stack::new(Some(link(first, FIRST, SECOND))),
        Stack::new(Some(link(second, SECOND, FIRST))),
    )
}

/// A guest with a server, and the other end of its wire.
fn one() -> (Stack, usize, UnixDatagram) {
    let (own, other) = UnixDatagram::pair().unwrap();
    other.set_nonblocking(true).unwrap();
    let mut stack = Stack::new(Some(link(own, FIRST, SECOND)));
    let server = stack.add();
    let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT);
    stack.bind(server, any).unwrap();
    stack.listen(server, 4).unwrap();
    (stack, server, other)
}

fn until(mut is_done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !is_done() {
        assert!(Instant::now() < end);
    }
}

#[test]
fn two_guests_reach_each_other() {
    let (mut client, mut server) = two();
    let listening = server.add();
    let to = SocketAddrV4::new(SECOND, PORT);
    server.bind(listening, to).unwrap();
    server.listen(listening, 0).unwrap();
    let socket = client.add();
    assert_eq!(client.connect(socket, to), Ok(Connecting::Begun));
    until(|| {
        server.work();
        client.work().contains(&socket)
    });
    assert_eq!(client.connect(socket, to), Ok(Connecting::Made));
    assert_eq!(client.peer_address(socket), Ok(to));
    until(|| server.work().contains(&listening));
    let accepted = server.add();
    server.accept(listening, accepted).unwrap();
    let peer = server.peer_address(accepted).unwrap();
    assert_eq!(Ok(peer), client.own_address(socket));
    assert_eq!(*peer.ip(), FIRST);
    assert_eq!(client.send(socket, b"hello"), Ok(Sent::Bytes(5)));
    until(|| server.work().contains(&accepted));
    assert_eq!(server.available(accepted), 5);
    let ends = Ends {
        read: false,
        write: true,
    };
    client.shut_down(socket, ends).unwrap();
    until(|| server.work().contains(&accepted));
    assert_ne!(server.events(accepted) & libc::POLLRDHUP, 0);
    // After the program's end the stack waits for the other end alone.
    drop(server);
    client.retain(|_| false);
    assert!(client.is_empty());
}

#[test]
fn nothing_is_made_before_the_first_socket() {
    let (own, other) = UnixDatagram::pair().unwrap();
    other.set_nonblocking(true).unwrap();
    let mut net = Net::new(Network::Link(link(own, FIRST, SECOND)));
    assert!(net.look().is_none() && net.left().is_none() && net.tap().is_none());
    assert!(other.recv(&mut [0; 100]).is_err());
    net.start().unwrap();
    // The first packet says that the guest is there: a question of ARP behind the header.
    let mut packet = [0; 100];
    assert_eq!(other.recv(&mut packet).unwrap(), 12 + 42);
    assert_eq!(packet[12 + 12..12 + 14], [8, 6]);
    assert_eq!(packet[12 + 28..12 + 32], FIRST.octets());
}

#[test]
fn a_device_that_is_gone_is_not_awaited() {
    let mut gone = link(UnixDatagram::unbound().unwrap(), FIRST, SECOND);
    // No read of it succeeds.
    gone.tap = File::create("/dev/null").unwrap().into();
    let mut stack = Stack::new(Some(gone));
    assert!(stack.tap().is_some());
    stack.work();
    assert!(stack.tap().is_none());
}

/// A frame for the guest: any bytes, or a packet of TCP with any flags, options and lengths.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..200);
    let header = (any::<[u8; 20]>(), any::<u8>(), any::<bool>());
    let packet = (bytes.clone(), header, 0..3_u8);
    let packet = packet.prop_map(|(data, (mut tcp, flags, is_plain), what)| {
        let mut frame = [&HARDWARE[..], &[2, 0, 0, 0, 0, 2]].concat();
        if what == 0 {
            frame.extend([8, 6]);
            frame.extend(data);
            return frame;
        }
        frame.extend([8, 0]);
        let length = u16::try_from(40 + data.len()).unwrap().to_be_bytes();
        let first = if is_plain { 0x45 } else { flags };
        frame.extend([first, 0, length[0], length[1], 0, 0, 0, 0, 64, 6, 0, 0]);
        frame.extend(SECOND.octets());
        frame.extend(FIRST.octets());
        let sum = checksum(&frame[14..34]);
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
        tcp[2..4].copy_from_slice(&PORT.to_be_bytes());
        tcp[0] = 9;
        tcp[1] = flags % 3;
        frame.extend(tcp);
        frame.extend(data);
        frame
    });
    prop_oneof![1 => bytes, 6 => packet]
}

fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap()
}

/// Makes a frame an answer to the stack's last packet, if it is one of TCP with an even length.
fn answer_to(last: &[u8], frame: &mut [u8]) {
    const AT: usize = 14 + 20;
    let is_answer = frame.len().is_multiple_of(2) && frame.get(14) == Some(&0x45);
    if let (true, Some(own)) = (is_answer, frame.get_mut(AT..AT + 12))
        && let Some(theirs) = last.get(12 + AT..12 + AT + 14)
    {
        own[..2].copy_from_slice(&theirs[2..4]);
        own[4..8].copy_from_slice(&theirs[8..12]);
        let next = u32::from_be_bytes([theirs[4], theirs[5], theirs[6], theirs[7]]);
        let is_first = u32::from(theirs[13] & 2 != 0);
        own[8..12].copy_from_slice(&next.wrapping_add(is_first).to_be_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// No packet makes the VMM panic, and a server stays one.
    #[test]
    fn hostile_packets_do_no_harm(frames in prop::collection::vec(frame(), 1..40)) {
        let (mut stack, server, other) = one();
        let mut answer = vec![0; 70_000];
        for mut frame in frames {
            answer_to(&answer, &mut frame);
            other.send(&[&[0; 12], &frame[..]].concat()).unwrap();
            stack.work();
            while other.recv(&mut answer).is_ok() {}
            while stack.has_connection(server) == Ok(true) {
                let accepted = stack.add();
                stack.accept(server, accepted).unwrap();
                let _ = stack.receive(accepted, &mut GuestSlices::default(), false);
                let _ = stack.send(accepted, b"answer");
            }
        }
        prop_assert_eq!(stack.is_listening(server), Ok(true));
        stack.retain(|_| false);
        stack.work();
    }
}
