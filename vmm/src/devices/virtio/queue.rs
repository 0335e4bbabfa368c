//! Requests out of a virtqueue. The crate virtio-queue walks the rings, and this module checks that
//! each walk has reached its end.
//!
//! The crate ends a chain at the first fault (a loop, an index or an address out of range), so that
//! a broken chain looks like a short one. This module tells them apart: the last descriptor of a
//! broken chain says that another one follows.

use std::sync::atomic::Ordering;

use virtio_queue::desc::split::Descriptor;
use virtio_queue::{DescriptorChain, Queue, QueueOwnedT as _, QueueT as _};
use vm_memory::{Bytes as _, GuestAddress, GuestMemoryBackend as _};

use crate::devices::host_io::GuestSlices;
use crate::memory::Memory;

/// A driver breaks the rules of virtqueues.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// A ring is not usable.
    #[error("its ring is not usable")]
    Ring(#[source] virtio_queue::Error),
    /// A ring isn't in guest memory.
    #[error("its ring is not in guest memory")]
    RingOutside,
    /// A chain never ends, is empty, leaves its table, or holds 4 GiB or more.
    #[error("a descriptor chain loops, leaves its table or is too long")]
    Chain,
    /// A buffer isn't in guest memory.
    #[error("a buffer at {address:#x} of {length} bytes is not in guest memory")]
    BufferOutside {
        /// The buffer's guest physical address.
        address: u64,
        /// The buffer's length in bytes.
        length: u64,
    },
    /// A buffer for reading comes after a buffer for writing, or a buffer is missing.
    #[error("the buffers of a request are not those that the device needs")]
    Shape,
}

/// A range of guest addresses, not checked yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    address: u64,
    length: u64,
}

/// The buffers of a request that the device may read, or those that it may write, as one run of
/// bytes.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Buffers(Vec<Extent>);

/// One request.
#[derive(Debug)]
pub struct Chain {
    /// The number by which the chain is given back.
    pub head: u16,
    /// The buffers that the device may read.
    pub readable: Buffers,
    /// The buffers that the device may write.
    pub writable: Buffers,
}

/// The next request, if the driver has made one available.
///
/// # Errors
/// The driver breaks the rules.
pub fn next(queue: &mut Queue, memory: &Memory) -> Result<Option<Chain>, QueueError> {
    // The index is read before the walk, since the driver may make more requests available
    // meanwhile. A walk that finds nothing must not be compared with a later index.
    let available = queue.avail_idx(memory, Ordering::Acquire);
    let available = available.map_err(QueueError::Ring)?.0;
    match queue.iter(memory).map_err(QueueError::Ring)?.next() {
        Some(chain) => collect(chain).map(Some),
        None if available == queue.next_avail() => Ok(None),
        None => Err(QueueError::RingOutside),
    }
}

/// Serves all requests in turn, and returns whether the driver wants an interrupt. The result of
/// `request` is the number of bytes that it has written to the buffers, or `None` if the chain is
/// given back later.
///
/// # Errors
/// The driver breaks the rules.
pub fn serve_all(
    queue: &mut Queue,
    memory: &Memory,
    mut request: impl FnMut(Chain) -> Result<Option<u32>, QueueError>,
) -> Result<bool, QueueError> {
    loop {
        queue
            .disable_notification(memory)
            .map_err(QueueError::Ring)?;
        while let Some(chain) = next(queue, memory)? {
            let head = chain.head;
            if let Some(written) = request(chain)? {
                queue
                    .add_used(memory, head, written)
                    .map_err(QueueError::Ring)?;
            }
        }
        let more = queue
            .enable_notification(memory)
            .map_err(QueueError::Ring)?;
        if !more {
            break;
        }
    }
    queue.needs_notification(memory).map_err(QueueError::Ring)
}

fn collect(chain: DescriptorChain<&Memory>) -> Result<Chain, QueueError> {
    let mut collected = Chain {
        head: chain.head_index(),
        readable: Buffers::default(),
        writable: Buffers::default(),
    };
    let mut last: Option<Descriptor> = None;
    for descriptor in chain {
        let extent = Extent {
            address: descriptor.addr().0,
            length: descriptor.len().into(),
        };
        if descriptor.is_write_only() {
            collected.writable.0.push(extent);
        } else if collected.writable.0.is_empty() {
            collected.readable.0.push(extent);
        } else {
            return Err(QueueError::Shape);
        }
        last = Some(descriptor);
    }
    match last {
        Some(last) if !last.has_next() => Ok(collected),
        _ => Err(QueueError::Chain),
    }
}

impl Buffers {
    /// The bytes of all buffers.
    pub fn length(&self) -> u64 {
        // The sum fits: each length is below 2^32, and there are at most 2^15 buffers.
        self.0.iter().map(|extent| extent.length).sum()
    }

    /// Cuts off and returns everything from byte `at` on.
    ///
    /// # Errors
    /// The buffers have fewer bytes.
    pub fn split_off(&mut self, at: u64) -> Result<Self, QueueError> {
        let mut left = at;
        let mut index = 0;
        while let Some(extent) = self.0.get(index)
            && extent.length <= left
        {
            left -= extent.length;
            index += 1;
        }
        let mut tail = self.0.split_off(index);
        if left > 0 {
            let first = tail.first_mut().ok_or(QueueError::Shape)?;
            self.0.push(Extent {
                address: first.address,
                length: left,
            });
            first.address = first.address.wrapping_add(left);
            first.length -= left;
        }
        Ok(Self(tail))
    }

    /// The buffers as pieces of guest memory.
    ///
    /// # Errors
    /// A buffer isn't in guest memory.
    pub fn slices<'m>(&self, memory: &'m Memory) -> Result<GuestSlices<'m>, QueueError> {
        let mut slices = GuestSlices::default();
        for extent in &self.0 {
            let count = usize::try_from(extent.length).map_err(|_| extent.outside())?;
            for piece in memory.get_slices(GuestAddress(extent.address), count) {
                slices.push(&piece.map_err(|_| extent.outside())?);
            }
        }
        Ok(slices)
    }

    /// Fills `into` with the first bytes of the buffers.
    ///
    /// # Errors
    /// The buffers have fewer bytes, or a buffer isn't in guest memory.
    pub fn read(&self, memory: &Memory, into: &mut [u8]) -> Result<(), QueueError> {
        let mut left = into;
        for extent in &self.0 {
            let (piece, rest) = left.split_at_mut(extent.within(left.len()));
            memory
                .read_slice(piece, GuestAddress(extent.address))
                .map_err(|_| extent.outside())?;
            left = rest;
        }
        if left.is_empty() {
            Ok(())
        } else {
            Err(QueueError::Shape)
        }
    }

    /// Copies `bytes` to the start of the buffers as far as there is room, and returns how many
    /// bytes were copied.
    ///
    /// # Errors
    /// A buffer isn't in guest memory.
    pub fn write(&self, memory: &Memory, bytes: &[u8]) -> Result<usize, QueueError> {
        let mut left = bytes;
        for extent in &self.0 {
            let (piece, rest) = left.split_at(extent.within(left.len()));
            memory
                .write_slice(piece, GuestAddress(extent.address))
                .map_err(|_| extent.outside())?;
            left = rest;
        }
        Ok(bytes.len() - left.len())
    }
}

impl Extent {
    /// The number of bytes, of `count`, for which the range has room.
    fn within(&self, count: usize) -> usize {
        usize::try_from(self.length).map_or(count, |length| length.min(count))
    }

    fn outside(&self) -> QueueError {
        QueueError::BufferOutside {
            address: self.address,
            length: self.length,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use proptest::prelude::*;

    use super::*;
    use crate::devices::virtio::driver::{AVAILABLE, MEMORY, TABLE, USED};
    use crate::memory::map;

    const SIZE: u16 = 16;

    /// A queue in which each descriptor is a chain of its own.
    fn queue_of_single_buffers(memory: &Memory) -> Queue {
        for index in 0..u64::from(SIZE) {
            let length = GuestAddress(TABLE + index * 16 + 8);
            memory.write_obj(1_u32, length).unwrap();
        }
        let mut queue = Queue::new(SIZE).unwrap();
        let low = |address: u64| Some(u32::try_from(address).unwrap());
        queue.set_desc_table_address(low(TABLE), None);
        queue.set_avail_ring_address(low(AVAILABLE), None);
        queue.set_used_ring_address(low(USED), None);
        queue.set_ready(true);
        queue
    }

    /// Does what a device does: takes `count` chains, and gives each back.
    fn take_all(memory: &Memory, queue: &mut Queue, count: u16) -> Result<(), QueueError> {
        let mut taken = 0;
        while taken < count {
            if let Some(chain) = next(queue, memory)? {
                taken += 1;
                queue.add_used(memory, chain.head, 0).unwrap();
            }
        }
        Ok(())
    }

    #[test]
    fn a_driver_may_make_more_available_while_the_device_looks() {
        const COUNT: u16 = 5_000;
        let memory = map(&[(0, MEMORY)]).unwrap();
        let mut queue = queue_of_single_buffers(&memory);
        thread::scope(|scope| {
            let device = scope.spawn(|| take_all(&memory, &mut queue, COUNT));
            let (available, used) = (GuestAddress(AVAILABLE + 2), GuestAddress(USED + 2));
            let is_full =
                |index| index - memory.load::<u16>(used, Ordering::Acquire).unwrap() == SIZE;
            for index in 0..COUNT {
                while is_full(index) && !device.is_finished() {
                    thread::yield_now();
                }
                let slot = AVAILABLE + 4 + u64::from(index % SIZE) * 2;
                memory.write_obj(index % SIZE, GuestAddress(slot)).unwrap();
                memory
                    .store(index + 1, available, Ordering::Release)
                    .unwrap();
            }
            device
                .join()
                .unwrap()
                .expect("the driver keeps to the rules");
        });
    }

    fn buffers(lengths: &[u64]) -> Buffers {
        let mut address = 0;
        Buffers(
            lengths
                .iter()
                .map(|&length| {
                    let extent = Extent { address, length };
                    address += length;
                    extent
                })
                .collect(),
        )
    }

    proptest! {
        #[test]
        fn a_cut_loses_no_byte(lengths in prop::collection::vec(0_u64..100, 0..8), at in 0_u64..400) {
            let whole = buffers(&lengths);
            let mut front = whole.clone();
            match front.split_off(at) {
                Err(_) => prop_assert!(at > whole.length()),
                Ok(tail) => {
                    prop_assert_eq!(front.length(), at);
                    let mut next = 0;
                    for extent in front.0.iter().chain(&tail.0).filter(|extent| extent.length > 0) {
                        prop_assert_eq!(extent.address, next);
                        next += extent.length;
                    }
                    prop_assert_eq!(next, whole.length());
                }
            }
        }
    }
}
