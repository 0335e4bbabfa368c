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
