//! The stack's network card: it sends Ethernet frames to the host's TAP device, or back to the stack
//! if a frame is for the guest itself.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::net::Ipv4Addr;
use std::num::{NonZeroU16, NonZeroUsize};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::uio::{readv, writev};
use smoltcp::phy::{
    Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, PacketMeta, RxToken,
    TxToken,
};
use smoltcp::time::Instant;

/// The bytes of an Ethernet header.
const ETHERNET: usize = 14;
/// The bytes of the longest frame that is no burst.
const FRAME: usize = 1500 + ETHERNET;
/// The bytes of the longest burst: a packet of IPv4 that the host has not cut, or need not cut, into
/// segments.
const BURST: usize = 65_535 + ETHERNET;
/// The bytes of the header before each packet (`struct virtio_net_hdr_v1`).
const HEADER: usize = 12;
/// The most frames on their way back to the stack. A guest that sends more loses them, as on a
/// wire.
const MOST_LOOPED: usize = 1024;

// Fields of the header (`linux/virtio_net.h`).
const NEEDS_CHECKSUM: u8 = 1;
const SEGMENTS_OF_TCP4: u8 = 1;

// The place of a frame's fields.
const TYPE_AT: usize = 12;
const IPV4: [u8; 2] = [0x08, 0x00];
const ARP: [u8; 2] = [0x08, 0x06];
const PROTOCOL_AT: usize = ETHERNET + 9;
const TCP: u8 = 6;
/// The destination of a packet of IPv4.
const DESTINATION_AT: usize = ETHERNET + 16;
/// The address that a question of ARP asks for.
const ASKED_AT: usize = ETHERNET + 24;
/// The stack's packets have no options of IPv4.
const TCP_AT: usize = ETHERNET + 20;
/// The checksum in a header of TCP.
const TCP_CHECKSUM_AT: usize = 16;

/// The network card.
pub(super) struct Card {
    /// The last packet that was read.
    incoming: Vec<u8>,
    sender: Sender,
}

/// The part of the card that sends.
struct Sender {
    tap: Option<Arc<OwnedFd>>,
    address: Ipv4Addr,
    looped: VecDeque<Vec<u8>>,
    /// The frame that the stack writes.
    outgoing: Vec<u8>,
}

impl Card {
    /// A card of the guest with this address.
    pub fn new(tap: Option<OwnedFd>, address: Ipv4Addr) -> Self {
        Self {
            incoming: Vec::new(),
            sender: Sender {
                tap: tap.map(Arc::new),
                address,
                looped: VecDeque::new(),
                outgoing: Vec::new(),
            },
        }
    }

    /// The descriptor at which packets arrive.
    pub fn tap(&self) -> Option<&Arc<OwnedFd>> {
        self.sender.tap.as_ref()
    }

    /// Whether a frame waits that needs no look at the host's device.
    pub fn has_looped(&self) -> bool {
        !self.sender.looped.is_empty()
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &[u8]) {
        self.sender.send(frame, None);
    }

    /// Reads a frame from the host's device, and returns its length.
    fn read(&mut self) -> Option<usize> {
        let tap = self.sender.tap.as_ref()?;
        self.incoming.resize(BURST, 0);
        let mut header = [0; HEADER];
        let result = readv(
            tap,
            &mut [
                IoSliceMut::new(&mut header),
                IoSliceMut::new(&mut self.incoming),
            ],
        );
        match result {
            Ok(length) => length.checked_sub(HEADER),
            Err(Errno::EAGAIN | Errno::EINTR) => None,
            Err(_) => {
                // The device is gone: it would be ready for ever.
                self.sender.tap = None;
                None
            }
        }
    }
}

impl Sender {
    /// Sends a frame. The host cuts a burst into segments with so many bytes of data.
    fn send(&mut self, frame: &[u8], segment: Option<NonZeroU16>) {
        if is_for(self.address, frame) {
            if self.looped.len() < MOST_LOOPED {
                self.looped.push_back(frame.to_vec());
            }
        } else if let Some(tap) = &self.tap {
            let header = header(frame, segment);
            // A packet that the host doesn't take is lost, as on a wire.
            let _ = writev(tap, &[IoSlice::new(&header), IoSlice::new(frame)]);
        }
    }
}

/// Whether a frame is for the guest with this address itself.
fn is_for(own: Ipv4Addr, frame: &[u8]) -> bool {
    let at = match frame.get(TYPE_AT..ETHERNET) {
        Some(kind) if kind == IPV4 => DESTINATION_AT,
        Some(kind) if kind == ARP => ASKED_AT,
        _ => return false,
    };
    let Some(&[a, b, c, d]) = frame.get(at..at + 4) else {
        return false;
    };
    let to = Ipv4Addr::new(a, b, c, d);
    to == own || to.is_loopback()
}

/// The header before a frame. The stack computes no checksum of TCP, and the host need not either
/// for a packet that does not leave the host.
fn header(frame: &[u8], segment: Option<NonZeroU16>) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let is_tcp =
        frame.get(TYPE_AT..ETHERNET) == Some(&IPV4) && frame.get(PROTOCOL_AT) == Some(&TCP);
    if !is_tcp {
        return header;
    }
    let number = |value: usize| u16::try_from(value).unwrap_or(u16::MAX).to_le_bytes();
    header[0] = NEEDS_CHECKSUM;
    header[6..8].copy_from_slice(&number(TCP_AT));
    header[8..10].copy_from_slice(&number(TCP_CHECKSUM_AT));
    if let Some(segment) = segment {
        let words = frame.get(TCP_AT + 12).map_or(0, |byte| byte >> 4);
        header[1] = SEGMENTS_OF_TCP4;
        header[2..4].copy_from_slice(&number(TCP_AT + 4 * usize::from(words)));
        header[4..6].copy_from_slice(&segment.get().to_le_bytes());
    }
    header
}

impl Device for Card {
    type RxToken<'c> = Incoming<'c>;
    type TxToken<'c> = Outgoing<'c>;

    fn receive(&mut self, _: Instant) -> Option<(Incoming<'_>, Outgoing<'_>)> {
        let frame = if let Some(frame) = self.sender.looped.pop_front() {
            Cow::Owned(frame)
        } else {
            // The stack never sees packets of other protocols, such as IPv6.
            let length = loop {
                let length = self.read()?;
                let kind = self.incoming.get(TYPE_AT..ETHERNET);
                if length > ETHERNET && kind.is_some_and(|kind| kind == IPV4 || kind == ARP) {
                    break length;
                }
            };
            Cow::Borrowed(self.incoming.get(..length)?)
        };
        Some((Incoming(frame), Outgoing::new(&mut self.sender)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        Some(Outgoing::new(&mut self.sender))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut checksum = ChecksumCapabilities::default();
        checksum.tcp = Checksum::None;
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities.checksum = checksum;
        capabilities.segmentation.tcpv4 = NonZeroUsize::new(BURST);
        capabilities
    }
}

/// A frame that has arrived.
pub(super) struct Incoming<'c>(Cow<'c, [u8]>);

impl RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

/// The right to send one frame.
pub(super) struct Outgoing<'c> {
    sender: &'c mut Sender,
    segment: Option<NonZeroU16>,
}

impl<'c> Outgoing<'c> {
    fn new(sender: &'c mut Sender) -> Self {
        Self {
            sender,
            segment: None,
        }
    }
}

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut frame = std::mem::take(&mut self.sender.outgoing);
        frame.clear();
        frame.resize(length, 0);
        let result = write(&mut frame);
        self.sender.send(&frame, self.segment);
        self.sender.outgoing = frame;
        result
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.segment = meta.segmentation_offload_size;
    }
}
