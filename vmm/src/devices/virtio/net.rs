//! The network device (specification, 5.1): a guest's network card, whose other end is a TAP device
//! of the host's.
//!
//! Driver and host put the same header before a packet (`struct virtio_net_hdr_v1`). So a packet
//! moves between the guest's buffers and the host in one system call, and no code here reads the
//! packet: the host's kernel checks header and packet as it checks those of any program. A packet
//! that the host refuses is lost, as on a wire.
//!
//! An outgoing packet is sent in the exit that announces it. A thread, the [`NetWorker`], waits for
//! incoming packets. The thread sleeps while the guest has no room for a packet. The host then
//! drops packets, and the VMM keeps none.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{fmt, io};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use virtio_bindings::virtio_ids::VIRTIO_ID_NET;
use virtio_bindings::virtio_net::{
    VIRTIO_NET_F_CSUM, VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_HOST_TSO4,
    VIRTIO_NET_F_MAC,
};
use virtio_bindings::virtio_ring::VIRTIO_RING_F_INDIRECT_DESC;
use virtio_queue::{Queue, QueueOwnedT as _, QueueT as _};

use super::Device;
use super::mmio::{Transport, ViolationError};
use super::queue::{Buffers, QueueError, next, serve_all};
use crate::devices::host_io::{self, Offloads};
use crate::memory::Memory;

/// The queue for incoming packets.
const RECEIVE: usize = 0;
/// The entries of each queue.
const QUEUE: u16 = 256;
/// The bytes of a packet's header.
const HEADER: u64 = 12;
/// The offset in the header of the number of buffers that a packet takes. Here it is always one.
const BUFFER_COUNT_AT: u64 = 10;
/// The bytes of the longest packet: the longest of IPv4, an Ethernet header with a tag, the header.
const LONGEST_PACKET: u64 = 65_535 + 18 + HEADER;

/// Whether the guest has room for a packet.
#[derive(Debug, Default)]
struct Room {
    has_room: Mutex<bool>,
    changed: Condvar,
}

impl Room {
    fn set(&self, has_room: bool) {
        *self.lock() = has_room;
        self.changed.notify_one();
    }

    fn wait(&self) {
        let waited = self.changed.wait_while(self.lock(), |has_room| !*has_room);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.has_room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A network card.
#[derive(Debug)]
pub struct Net {
    tap: OwnedFd,
    hardware_address: [u8; 6],
    room: Arc<Room>,
}

impl Net {
    /// Makes a card with this Ethernet address for `tap`. Each call on `tap` must move one packet
    /// with its header, and must not block.
    pub fn new(tap: OwnedFd, hardware_address: [u8; 6]) -> Self {
        Self {
            tap,
            hardware_address,
            room: Arc::default(),
        }
    }

    /// The worker that waits for the card's packets.
    ///
    /// # Errors
    /// The host has no descriptor left.
    pub fn worker(&self) -> io::Result<NetWorker> {
        Ok(NetWorker {
            tap: self.tap.try_clone()?,
            room: self.room.clone(),
        })
    }

    /// Sends the packet of one chain. A packet that the host does not take is lost.
    fn send(&self, packet: &Buffers, memory: &Memory) -> Result<(), QueueError> {
        let slices = packet.slices(memory)?;
        if packet.length() <= LONGEST_PACKET {
            let _ = host_io::write_packet(self.tap.as_fd(), &slices);
        }
        Ok(())
    }

    /// Puts incoming packets into the guest's buffers, and returns whether the driver wants an
    /// interrupt. A call moves at most as many packets as the queue has entries, since the caller
    /// holds the device's lock.
    fn receive(&self, queue: &mut Queue, memory: &Memory) -> Result<bool, QueueError> {
        let mut received = false;
        let mut has_room = true;
        for _ in 0..queue.size() {
            let Some(chain) = next(queue, memory)? else {
                let came = queue.enable_notification(memory);
                if came.map_err(QueueError::Ring)? {
                    continue;
                }
                has_room = false;
                break;
            };
            match self.fill(&chain.writable, memory)? {
                Ok(length) => {
                    queue
                        .add_used(memory, chain.head, length)
                        .map_err(QueueError::Ring)?;
                    received = true;
                }
                Err(error) => {
                    queue.go_to_previous_position();
                    // Without this check the worker would ask a device that is gone over and over.
                    has_room = error == Errno::EAGAIN;
                    break;
                }
            }
        }
        self.room.set(has_room);
        if !received {
            return Ok(false);
        }
        queue.needs_notification(memory).map_err(QueueError::Ring)
    }

    /// Puts one packet into `buffers`. Bytes for which the buffers have no room are cut off.
    fn fill(&self, buffers: &Buffers, memory: &Memory) -> Result<Result<u32, Errno>, QueueError> {
        let mut header = buffers.clone();
        let mut count = header.split_off(BUFFER_COUNT_AT)?;
        count.split_off(HEADER - BUFFER_COUNT_AT)?;
        let slices = buffers.slices(memory)?;
        let length = match host_io::read_some(self.tap.as_fd(), &slices) {
            Ok(length) => length,
            Err(error) => return Ok(Err(error)),
        };
        count.write(memory, &1_u16.to_le_bytes())?;
        // The number fits: a packet is shorter than 2^32 bytes.
        Ok(Ok(u32::try_from(length).unwrap_or(u32::MAX)))
    }
}

impl Device for Net {
    fn kind(&self) -> u32 {
        VIRTIO_ID_NET
    }

    fn name(&self) -> &'static str {
        "the network"
    }

    fn features(&self) -> u64 {
        // No side has to compute a checksum or to cut segments, since no packet leaves the host.
        let offered = [
            VIRTIO_NET_F_CSUM,
            VIRTIO_NET_F_GUEST_CSUM,
            VIRTIO_NET_F_HOST_TSO4,
            VIRTIO_NET_F_GUEST_TSO4,
            VIRTIO_NET_F_MAC,
            VIRTIO_RING_F_INDIRECT_DESC,
        ];
        offered.iter().fold(0, |bits, bit| bits | 1 << bit)
    }

    fn queues(&self) -> &'static [u16] {
        &[QUEUE, QUEUE]
    }

    fn configuration(&self) -> &[u8] {
        &self.hardware_address
    }

    fn set_features(&mut self, features: u64) {
        let has = |bit: u32| features & 1 << bit != 0;
        let checksums = has(VIRTIO_NET_F_GUEST_CSUM);
        let offloads = Offloads {
            checksums,
            segments: checksums && has(VIRTIO_NET_F_GUEST_TSO4),
        };
        // Only a descriptor that is no TAP device refuses, and it leaves no work to the guest.
        let _ = host_io::set_offloads(self.tap.as_fd(), offloads);
    }

    fn reset(&mut self) {
        self.room.set(false);
    }

    fn serve(
        &mut self,
        index: usize,
        queue: &mut Queue,
        memory: &Memory,
    ) -> Result<bool, QueueError> {
        if index == RECEIVE {
            return self.receive(queue, memory);
        }
        serve_all(queue, memory, |chain| {
            self.send(&chain.readable, memory).map(|()| Some(0))
        })
    }
}

/// The work of the network card's thread: to wait for packets from the host.
pub struct NetWorker {
    tap: OwnedFd,
    room: Arc<Room>,
}

impl fmt::Debug for NetWorker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("NetWorker").finish_non_exhaustive()
    }
}

impl NetWorker {
    /// Makes the card behind `transport` receive all packets, until the driver breaks the rules.
    pub fn run(&self, transport: &Mutex<Transport>, memory: &Memory) -> ViolationError {
        loop {
            self.room.wait();
            let mut awaited = [PollFd::new(self.tap.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut awaited, PollTimeout::NONE);
            let mut card = transport.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = card.serve(RECEIVE, memory) {
                return error;
            }
        }
    }
}
