//! The network device (specification, 5.1): a guest's network card, whose other end is a TAP device of the host's.
//!
//! Driver and host put the same header before a packet (`struct virtio_net_hdr_v1`), so a packet moves between the
//! guest's buffers and the host in one system call, and nothing here reads any of it: the host's kernel checks header and
//! packet as it checks any program's. What it refuses is lost, as on a wire.
//!
//! What goes out is sent in the exit that announces it. What comes in is awaited by a thread of its own, the [`NetWorker`],
//! which sleeps as long as the guest has no room: the host then drops packets, and nothing is kept here.

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

/// What comes in.
const RECEIVE: usize = 0;
const QUEUE: u16 = 256;
/// Bytes of the header, and where in it the number of buffers is that a packet takes: always one here.
const HEADER: u64 = 12;
const BUFFERS_AT: u64 = 10;
/// Longest packet: what IPv4 can say, an Ethernet header with a tag, the header.
const MOST: u64 = 65_535 + 18 + HEADER;

/// Whether the guest has room for a packet.
#[derive(Debug, Default)]
struct Room {
    is_there: Mutex<bool>,
    came: Condvar,
}

impl Room {
    fn set(&self, is_there: bool) {
        *self.lock() = is_there;
        self.came.notify_one();
    }

    fn wait(&self) {
        let waited = self.came.wait_while(self.lock(), |is_there| !*is_there);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_there.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// A card with this Ethernet address for `tap`, which takes and gives one packet a call behind the header, and never
    /// blocks.
    pub fn new(tap: OwnedFd, hardware_address: [u8; 6]) -> Self {
        Self {
            tap,
            hardware_address,
            room: Arc::default(),
        }
    }

    /// Who waits for its packets.
    ///
    /// # Errors
    /// The host has no descriptor left.
    pub fn worker(&self) -> io::Result<NetWorker> {
        Ok(NetWorker {
            tap: self.tap.try_clone()?,
            room: self.room.clone(),
        })
    }

    /// Sends what is in one chain. What the host does not take is lost.
    fn send(&self, packet: &Buffers, memory: &Memory) -> Result<(), QueueError> {
        let slices = packet.slices(memory)?;
        if packet.length() <= MOST {
            let _ = host_io::write_packet(self.tap.as_fd(), &slices);
        }
        Ok(())
    }

    /// Puts what has come in into the guest's buffers: at most as many packets as the queue has entries, since whoever
    /// calls holds the device's lock.
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
                    // A device that is gone would else be asked for ever.
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

    /// Puts one packet into `buffers`; what they have no room for is cut off.
    fn fill(&self, buffers: &Buffers, memory: &Memory) -> Result<Result<u32, Errno>, QueueError> {
        let mut header = buffers.clone();
        let mut count = header.split_off(BUFFERS_AT)?;
        count.split_off(HEADER - BUFFERS_AT)?;
        let slices = buffers.slices(memory)?;
        let length = match host_io::read_some(self.tap.as_fd(), &slices) {
            Ok(length) => length,
            Err(error) => return Ok(Err(error)),
        };
        count.write(memory, &1_u16.to_le_bytes())?;
        // A packet is shorter than 2^32 bytes.
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
        // What one side need not compute or cut, since the packet never leaves the host.
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

    fn accept(&mut self, features: u64) {
        let has = |bit: u32| features & 1 << bit != 0;
        let checksums = has(VIRTIO_NET_F_GUEST_CSUM);
        let offloads = Offloads {
            checksums,
            segments: checksums && has(VIRTIO_NET_F_GUEST_TSO4),
        };
        // What refuses is no TAP device, and leaves nothing to be done by the guest.
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

/// Who waits for packets from the host.
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
    /// Has `transport`, the card's, receive whatever comes, until the driver breaks the rules.
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
