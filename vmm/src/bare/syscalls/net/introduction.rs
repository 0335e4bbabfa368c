//! The first packet of a guest.

use std::net::Ipv4Addr;

use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr,
};

/// A question of ARP for the host's address. By it the host knows that the guest answers, and where;
/// and by the answer the guest knows the host.
pub(super) fn introduction(hardware: EthernetAddress, own: Ipv4Addr, host: Ipv4Addr) -> Vec<u8> {
    let ethernet = EthernetRepr {
        src_addr: hardware,
        dst_addr: EthernetAddress::BROADCAST,
        ethertype: EthernetProtocol::Arp,
    };
    let question = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: hardware,
        source_protocol_addr: own,
        target_hardware_addr: EthernetAddress::default(),
        target_protocol_addr: host,
    };
    let mut bytes = vec![0; ethernet.buffer_len() + question.buffer_len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    ethernet.emit(&mut frame);
    question.emit(&mut ArpPacket::new_unchecked(frame.payload_mut()));
    bytes
}
