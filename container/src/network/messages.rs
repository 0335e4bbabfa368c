//! The messages that make and set up interfaces, as bytes (rtnetlink(7)).
//!
//! The sequence number of a message says how the kernel is to treat it within its list: a message
//! that is [`OPTIONAL`] may fail, a [`REQUIRED`] message is answered only if it fails, and the
//! [`LAST`] message is always answered.

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

use super::link::{HOST_ADDRESS, INSIDE_INDEX, INSIDE_NAME, Link};

/// The sequence number of a message that may fail.
pub const OPTIONAL: u32 = 0;
/// The sequence number of a message that must not fail.
pub const REQUIRED: u32 = 1;
/// The sequence number of the last message of a list, which must not fail and asks for an
/// acknowledgement.
pub const LAST: u32 = 2;

/// The longest list of messages for a container's first process, in bytes.
pub const MAX_MESSAGES: usize = 64;

/// The interface index of the loopback in every namespace.
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

/// Sets up the host's end of `link`, a TAP device, with the Ethernet address that a pair's host end
/// is made with.
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

/// Asks for everything that the kernel knows of an interface.
pub fn query(index: u32) -> Vec<u8> {
    let mut messages = Vec::new();
    push(&mut messages, RTM_GETLINK, 0, REQUIRED, &message_of(index));
    messages
}

/// Brings an end up with the address `local`. Only `remote` is at the other end.
fn push_end(messages: &mut Vec<u8>, index: u32, local: Ipv4Addr, remote: Ipv4Addr) {
    push_no_ipv6(messages, index);
    push_up(messages, index, REQUIRED);
    let mut address = AddressMessage::default();
    address.header.family = AddressFamily::Inet;
    address.header.prefix_len = 32;
    // The address is good on this link alone: neither side uses it to speak to anybody else.
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

/// Keeps an interface that comes up later from getting an IPv6 address, for which the kernel would
/// send packets. A kernel without IPv6 refuses this message.
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

/// Appends a message. All parts of a message have lengths of whole words, so the next message is
/// aligned.
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

    const HEADER_BYTES: usize = 16;

    fn word(bytes: &[u8], at: usize) -> u32 {
        u32::from_ne_bytes(*bytes[at..].first_chunk().unwrap())
    }

    /// The type, flags, sequence number and body of each message, found as the kernel finds them.
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
        // RTM_NEWLINK, REQUEST | ACK, LAST; then index 1, and of the flags IFF_UP, which is set.
        let expected: [u8; 32] = [
            32, 0, 0, 0, 16, 0, 5, 0, 2, 0, 0, 0, 0, 0, 0, 0, //
            0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0,
        ];
        assert_eq!(loopback(), expected);
        assert!(expected.len() <= MAX_MESSAGES);
    }

    #[test]
    fn a_pair_is_made_anew_with_both_names() {
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
        // The header says AF_INET, /32, no flags, RT_SCOPE_LINK.
        assert_eq!(body[..4], [2, 32, 0, 253]);
        assert_eq!(body[12..16], HOST_ADDRESS.octets());
        assert_eq!(body[20..24], link.address().octets());
    }

    proptest! {
        #[test]
        fn only_the_end_of_a_list_is_the_last(launcher in 1..i32::MAX, inside in 1..i32::MAX) {
            let link = Link::of_process(Pid::from_raw(launcher));
            for messages in [
                pair(link, Pid::from_raw(inside)),
                inside_end(link),
                host_end(link),
                tap_end(link),
                query(link.index()),
            ] {
                let split = split(&messages);
                let sequences: Vec<u32> = split.iter().map(|message| message.2).collect();
                prop_assert!(!sequences[..sequences.len() - 1].contains(&LAST));
            }
        }
    }
}
