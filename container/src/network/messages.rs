//! The messages that make and set up interfaces, as bytes.

use std::net::Ipv4Addr;

use libc::{RTM_GETLINK, RTM_NEWADDR, RTM_NEWLINK};
use netlink_packet_core::{
    Emitable, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader,
};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute,
    LinkFlags, LinkInfo, LinkMessage,
};
use nix::unistd::Pid;

use super::HOST_ADDRESS;
use super::link::{INSIDE_INDEX, INSIDE_NAME, Link};
use super::rtnetlink::{LAST, OPTIONAL, REQUIRED};

/// Index of the loopback in every namespace.
const LOOPBACK_INDEX: u32 = 1;

/// Makes the pair of `link`: one end here, the other in the namespace of the process `inside`.
pub fn pair(link: Link, inside: Pid) -> Vec<u8> {
    let mut peer = message_of(INSIDE_INDEX);
    peer.attributes = vec![
        LinkAttribute::IfName(INSIDE_NAME.to_owned()),
        LinkAttribute::NetNsPid(inside.as_raw().unsigned_abs()),
        LinkAttribute::Address(link.inside_hardware_address().to_vec()),
    ];
    let mut pair = message_of(link.index());
    pair.attributes = vec![
        LinkAttribute::IfName(link.name()),
        LinkAttribute::Address(link.host_hardware_address().to_vec()),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]),
    ];
    let mut messages = Vec::new();
    push(
        &mut messages,
        RTM_NEWLINK,
        NLM_F_CREATE | NLM_F_EXCL,
        LAST,
        &pair,
    );
    messages
}

/// Sets up the host's end of `link`.
pub fn host_end(link: Link) -> Vec<u8> {
    let mut messages = Vec::new();
    push_end(&mut messages, link.index(), HOST_ADDRESS, link.address());
    messages
}

/// Gives the host's end of `link`, a TAP device, the address that a pair's is made with, and sets it up.
pub fn tap_end(link: Link) -> Vec<u8> {
    let mut messages = Vec::new();
    let mut named = message_of(link.index());
    let address = link.host_hardware_address().to_vec();
    named.attributes = vec![LinkAttribute::Address(address)];
    push(&mut messages, RTM_NEWLINK, 0, REQUIRED, &named);
    push_end(&mut messages, link.index(), HOST_ADDRESS, link.address());
    messages
}

/// Sets up the container's end of `link`, and its loopback.
pub fn inside_end(link: Link) -> Vec<u8> {
    let mut messages = Vec::new();
    push_up(&mut messages, LOOPBACK_INDEX, REQUIRED);
    push_end(&mut messages, INSIDE_INDEX, link.address(), HOST_ADDRESS);
    messages
}

/// Brings the loopback up.
pub fn loopback() -> Vec<u8> {
    let mut messages = Vec::new();
    push_up(&mut messages, LOOPBACK_INDEX, LAST);
    messages
}

/// Asks for all that is known of an interface.
pub fn query(index: u32) -> Vec<u8> {
    let mut messages = Vec::new();
    push(&mut messages, RTM_GETLINK, 0, REQUIRED, &message_of(index));
    messages
}

/// Brings an end up as `local`, with `remote` and nobody else at the other end.
fn push_end(messages: &mut Vec<u8>, index: u32, local: Ipv4Addr, remote: Ipv4Addr) {
    push_no_ipv6(messages, index);
    push_up(messages, index, REQUIRED);
    let mut address = AddressMessage::default();
    address.header.family = AddressFamily::Inet;
    address.header.prefix_len = 32;
    // Of this link alone: neither side speaks to anybody else under it.
    address.header.scope = AddressScope::Link;
    address.header.index = index;
    address.attributes = vec![
        AddressAttribute::Local(local.into()),
        AddressAttribute::Address(remote.into()),
    ];
    push(
        messages,
        RTM_NEWADDR,
        NLM_F_CREATE | NLM_F_EXCL,
        LAST,
        &address,
    );
}

/// Has an interface that comes up later get no IPv6 address, for which it would ask around. A kernel without IPv6
/// refuses it.
fn push_no_ipv6(messages: &mut Vec<u8>, index: u32) {
    let mut link = message_of(index);
    let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
    link.attributes = vec![LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(
        vec![mode],
    )])];
    push(messages, RTM_NEWLINK, 0, OPTIONAL, &link);
}

fn push_up(messages: &mut Vec<u8>, index: u32, sequence: u32) {
    let mut link = message_of(index);
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    push(messages, RTM_NEWLINK, 0, sequence, &link);
}

fn message_of(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}

/// Appends a message. All its parts have lengths of whole words, as the next message's place needs.
fn push(messages: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32, body: &impl Emitable) {
    let acknowledge = if sequence == LAST { NLM_F_ACK } else { 0 };
    let mut header = NetlinkHeader::default();
    header.message_type = kind;
    header.flags = NLM_F_REQUEST | flags | acknowledge;
    header.sequence_number = sequence;
    let start = messages.len();
    let length = header.buffer_len() + body.buffer_len();
    header.length = u32::try_from(length).unwrap_or(u32::MAX);
    messages.resize(start + length, 0);
    let (head, rest) = messages[start..].split_at_mut(header.buffer_len());
    header.emit(head);
    body.emit(rest);
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::NlasIterator;
    use proptest::prelude::*;

    use super::*;
    use crate::network::MAX_MESSAGES;

    const HEADER_BYTES: usize = 16;

    fn word(bytes: &[u8], at: usize) -> u32 {
        u32::from_ne_bytes(*bytes[at..].first_chunk().unwrap())
    }

    /// Type, flags, sequence number and body of each message, found as the kernel finds them.
    fn split(mut bytes: &[u8]) -> Vec<(u32, u32, u32, &[u8])> {
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            let length = word(bytes, 0) as usize;
            assert_eq!(length % 4, 0);
            let kind = word(bytes, 4);
            let body = &bytes[HEADER_BYTES..length];
            messages.push((kind & 0xffff, kind >> 16, word(bytes, 8), body));
            bytes = &bytes[length..];
        }
        messages
    }

    #[test]
    fn a_loopback_takes_one_message() {
        let expected: [u8; 32] = [
            32, 0, 0, 0, 16, 0, 5, 0, 2, 0, 0, 0, 0, 0, 0,
            0, // RTM_NEWLINK, REQUEST | ACK, LAST
            0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0,
            0, // index 1; of the flags IFF_UP, set
        ];
        assert_eq!(loopback(), expected);
        assert!(expected.len() <= MAX_MESSAGES);
    }

    #[test]
    fn a_pair_is_made_anew_or_not_at_all() {
        let link = Link::of_process(Pid::from_raw(0x1a2b));
        let bytes = pair(link, Pid::from_raw(77));
        let (kind, flags, sequence, body) = split(&bytes)[0];
        // REQUEST | ACK | EXCL | CREATE
        assert_eq!((kind, flags, sequence), (16, 0x605, LAST));
        assert_eq!(word(body, 4), link.index());
        let attributes: Vec<_> = NlasIterator::new(&body[16..]).map(Result::unwrap).collect();
        let value = |kind| {
            let found = attributes.iter().find(|attribute| attribute.kind() == kind);
            found.unwrap().value().to_vec()
        };
        assert_eq!(value(libc::IFLA_IFNAME), b"isobench-1a2b\0");
        let peer = value(libc::IFLA_LINKINFO);
        let holds = |part: &[u8]| peer.windows(part.len()).any(|window| window == part);
        assert!(holds(b"veth") && holds(b"eth0\0"));
        assert!(holds(&77_u32.to_ne_bytes()) && holds(&INSIDE_INDEX.to_ne_bytes()));
    }

    #[test]
    fn an_end_may_lack_ipv6_and_nothing_else() {
        let link = Link::of_process(Pid::from_raw(0x1a2b));
        let inside = inside_end(link);
        let sequences: Vec<u32> = split(&inside).iter().map(|message| message.2).collect();
        assert_eq!(sequences, [REQUIRED, OPTIONAL, REQUIRED, LAST]);
        let host = host_end(link);
        let (kind, flags, _, body) = split(&host)[2];
        assert_eq!((kind, flags), (20, 0x605));
        // AF_INET, /32, no flags, RT_SCOPE_LINK.
        assert_eq!(body[..4], [2, 32, 0, 253]);
        assert_eq!(body[12..16], HOST_ADDRESS.octets());
        assert_eq!(body[20..24], link.address().octets());
    }

    proptest! {
        #[test]
        fn every_list_can_be_taken_apart(launcher in 1..i32::MAX, inside in 1..i32::MAX) {
            let link = Link::of_process(Pid::from_raw(launcher));
            for messages in [
                pair(link, Pid::from_raw(inside)),
                inside_end(link),
                host_end(link),
                tap_end(link),
                query(link.index()),
            ] {
                let sequences: Vec<u32> = split(&messages).iter().map(|message| message.2).collect();
                prop_assert!(!sequences[..sequences.len() - 1].contains(&LAST));
            }
        }
    }
}
