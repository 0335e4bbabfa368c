//! The block device (specification, 5.2): serves the requests of a guest's driver on a disk of the
//! host's.
//!
//! As a disk does, the device answers a wrong request (a sector past the end, a write to a disk
//! that may only be read, an unknown kind) with a status. Only a request without a place for the
//! status is a [`QueueError`].

use std::io;

use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_RO, VIRTIO_BLK_F_SEG_MAX,
    VIRTIO_BLK_F_WRITE_ZEROES, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_UNSUPP,
    VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN,
    VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_WRITE_ZEROES,
};
use virtio_bindings::virtio_ids::VIRTIO_ID_BLOCK;
use virtio_bindings::virtio_ring::VIRTIO_RING_F_INDIRECT_DESC;
use virtio_queue::{Queue, QueueT as _};

use super::queue::{Buffers, Chain, QueueError, serve_all};
use super::transfer::{Direction, DiskWorker, FinishedTransfer, Transfer, Transfers};
use super::{Device, halves};
use crate::devices::disk::{Durability, Flush, HostCache, HostDisk, SECTOR, Zeros};
use crate::memory::Memory;

/// The entries of the only queue, and so the most buffers of a request.
const QUEUE: u16 = 256;
/// The most buffers for data: two others are the request's header and its status.
const SEGMENTS: u32 = QUEUE as u32 - 2;
/// The bytes of a request's header: its kind, a reserved word, its first sector.
const HEADER: usize = 16;
/// The bytes of one range to discard or to make zero: its first sector, its length in sectors,
/// flags.
const RANGE: usize = 16;
/// The most ranges of a request.
const RANGES: u32 = 16;
/// The most sectors of a range: 32 MiB. A host that has to write the zeros is done in a moment.
const RANGE_SECTORS: u32 = 1 << 16;
/// The flag of a range whose zeros may be holes.
const MAY_UNMAP: u32 = 1;
const SERIAL_NUMBER: &[u8; 20] = b"isobench-disk\0\0\0\0\0\0\0";

/// The status of a request that was not served (specification, 5.2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Failed,
    Unsupported,
}

/// What becomes of the ranges of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RangeOperation {
    Discard,
    WriteZeros,
}

/// A disk behind a virtqueue.
#[derive(Debug)]
pub struct Block {
    transfers: Transfers,
    configuration: [u8; 60],
}

impl Block {
    /// Makes a device for `disk`, whose requests use the host's page cache or bypass it.
    pub fn new(disk: HostDisk, cache: HostCache) -> Self {
        let configuration = configuration(disk.size() / SECTOR);
        Self {
            transfers: Transfers::new(disk, cache),
            configuration,
        }
    }

    /// The worker for requests that are not served in their exit, if there are such.
    ///
    /// # Errors
    /// The host has no descriptor left.
    pub fn worker(&self) -> io::Result<Option<DiskWorker>> {
        self.transfers.worker()
    }

    fn disk(&self) -> &HostDisk {
        self.transfers.disk()
    }

    /// Serves one request. The result is the number of bytes that were written to its buffers, or
    /// `None` if the request is answered later.
    fn request(&mut self, chain: Chain, memory: &Memory) -> Result<Option<u32>, QueueError> {
        let Chain {
            head,
            mut readable,
            mut writable,
        } = chain;
        let room = writable.length().checked_sub(1).ok_or(QueueError::Shape)?;
        let status = writable.split_off(room)?;
        let mut header = [0; HEADER];
        readable.read(memory, &mut header)?;
        let data = readable.split_off(HEADER as u64)?;
        let [kind, _] = words(&header);
        let sector = u64::from_le_bytes(header[8..].try_into().expect("half of it"));
        let done = match kind {
            VIRTIO_BLK_T_IN | VIRTIO_BLK_T_OUT => {
                let (direction, data) = if kind == VIRTIO_BLK_T_OUT {
                    (Direction::Write, data)
                } else {
                    (Direction::Read, writable)
                };
                let transfer = Transfer {
                    head,
                    direction,
                    // A sector whose offset overflows lies past the end, as the largest offset
                    // does.
                    offset: sector.saturating_mul(SECTOR),
                    data,
                    status,
                };
                return self.transfer(transfer, memory);
            }
            VIRTIO_BLK_T_FLUSH => self.flush().map(|()| 0),
            VIRTIO_BLK_T_GET_ID => Ok(writable.write(memory, SERIAL_NUMBER)? as u64),
            VIRTIO_BLK_T_DISCARD => self.ranges(RangeOperation::Discard, &data, memory)?,
            VIRTIO_BLK_T_WRITE_ZEROES => self.ranges(RangeOperation::WriteZeros, &data, memory)?,
            _ => Err(Refusal::Unsupported),
        };
        answer(&status, done, memory).map(Some)
    }

    /// Starts a read or write, if all of it lies on the disk. The result is as in
    /// [`Self::request`].
    fn transfer(&mut self, transfer: Transfer, memory: &Memory) -> Result<Option<u32>, QueueError> {
        let is_write = transfer.direction == Direction::Write;
        let is_refused = is_write && self.disk().is_read_only();
        if is_refused || !self.is_on_disk(transfer.offset, transfer.data.length()) {
            // A buffer outside of guest memory ends the machine even if the request fails.
            transfer.data.slices(memory)?;
            return answer(&transfer.status, Err(Refusal::Failed), memory).map(Some);
        }
        match self.transfers.start(transfer, memory)? {
            Some(finished) => answer_transfer(&finished, memory).map(Some),
            None => Ok(None),
        }
    }

    /// Gives the chains of all finished transfers back.
    fn give_back(&mut self, queue: &mut Queue, memory: &Memory) -> Result<(), QueueError> {
        while let Some(finished) = self.transfers.next_finished(memory)? {
            let written = answer_transfer(&finished, memory)?;
            queue
                .add_used(memory, finished.transfer.head, written)
                .map_err(QueueError::Ring)?;
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), Refusal> {
        self.disk().flush(Flush::Data).map_err(|_| Refusal::Failed)
    }

    /// Discards the ranges that `data` lists, or makes them zero.
    fn ranges(
        &self,
        operation: RangeOperation,
        data: &Buffers,
        memory: &Memory,
    ) -> Result<Result<u64, Refusal>, QueueError> {
        let length = usize::try_from(data.length()).unwrap_or(usize::MAX);
        if length == 0 || length > RANGES as usize * RANGE || !length.is_multiple_of(RANGE) {
            return Ok(Err(Refusal::Failed));
        }
        let mut bytes = vec![0; length];
        data.read(memory, &mut bytes)?;
        Ok(bytes
            .chunks_exact(RANGE)
            .try_for_each(|range| self.range(operation, range))
            .map(|()| 0))
    }

    fn range(&self, operation: RangeOperation, range: &[u8]) -> Result<(), Refusal> {
        let (sector, rest) = range.split_first_chunk().ok_or(Refusal::Failed)?;
        let [sectors, flags] = words(rest);
        let is_discard = operation == RangeOperation::Discard;
        if flags & !MAY_UNMAP != 0 || is_discard && flags != 0 {
            return Err(Refusal::Unsupported);
        }
        let length = u64::from(sectors) * SECTOR;
        let offset = u64::from_le_bytes(*sector).saturating_mul(SECTOR);
        let is_refused = self.disk().is_read_only() || sectors > RANGE_SECTORS;
        if is_refused || !self.is_on_disk(offset, length) {
            return Err(Refusal::Failed);
        }
        let zeros = if flags & MAY_UNMAP == 0 {
            Zeros::Allocated
        } else {
            Zeros::Hole
        };
        let done = match operation {
            RangeOperation::Discard => self.disk().discard(offset, length),
            RangeOperation::WriteZeros => self.disk().write_zeros(offset, length, zeros),
        };
        done.map_err(|_| Refusal::Failed)?;
        match self.transfers.durability() {
            Durability::Deferred => Ok(()),
            Durability::Immediate => self.flush(),
        }
    }

    /// Whether `length` bytes from `offset` on are whole sectors of the disk.
    fn is_on_disk(&self, offset: u64, length: u64) -> bool {
        let end = offset.checked_add(length);
        length.is_multiple_of(SECTOR) && end.is_some_and(|end| end <= self.disk().size())
    }
}

impl Device for Block {
    fn kind(&self) -> u32 {
        VIRTIO_ID_BLOCK
    }

    fn name(&self) -> &'static str {
        "the disk"
    }

    fn features(&self) -> u64 {
        let offered = [
            VIRTIO_BLK_F_SEG_MAX,
            VIRTIO_BLK_F_FLUSH,
            VIRTIO_BLK_F_DISCARD,
            VIRTIO_BLK_F_WRITE_ZEROES,
            VIRTIO_RING_F_INDIRECT_DESC,
        ];
        let read_only = u64::from(self.disk().is_read_only()) << VIRTIO_BLK_F_RO;
        offered.iter().fold(read_only, |bits, bit| bits | 1 << bit)
    }

    fn queues(&self) -> &'static [u16] {
        &[QUEUE]
    }

    fn configuration(&self) -> &[u8] {
        &self.configuration
    }

    fn set_features(&mut self, features: u64) {
        let flushes = features & 1 << VIRTIO_BLK_F_FLUSH != 0;
        self.transfers.set_driver_flushes(flushes);
    }

    fn reset(&mut self) {
        self.transfers.drain();
    }

    fn serve(&mut self, _: usize, queue: &mut Queue, memory: &Memory) -> Result<bool, QueueError> {
        self.give_back(queue, memory)?;
        serve_all(queue, memory, |chain| self.request(chain, memory))
    }
}

/// Writes the status of a transfer. The result is the number of bytes that were written to the
/// request's buffers.
fn answer_transfer(finished: &FinishedTransfer, memory: &Memory) -> Result<u32, QueueError> {
    let FinishedTransfer { transfer, result } = finished;
    let written = match transfer.direction {
        Direction::Read => transfer.data.length(),
        Direction::Write => 0,
    };
    let done = result.map(|()| written).map_err(|_| Refusal::Failed);
    answer(&transfer.status, done, memory)
}

/// Writes the status of a request. `done` is the number of bytes that were written to the buffers
/// before, and the result is the number with the status.
fn answer(
    status: &Buffers,
    done: Result<u64, Refusal>,
    memory: &Memory,
) -> Result<u32, QueueError> {
    let (code, written) = match done {
        Ok(written) => (VIRTIO_BLK_S_OK, written),
        Err(Refusal::Failed) => (VIRTIO_BLK_S_IOERR, 0),
        Err(Refusal::Unsupported) => (VIRTIO_BLK_S_UNSUPP, 0),
    };
    status.write(memory, &[u8::try_from(code).expect("a small number")])?;
    // The number fits: a chain is shorter than 2^32 bytes.
    Ok(u32::try_from(written + 1).unwrap_or(u32::MAX))
}

/// `struct virtio_blk_config` (specification, 5.2.4).
fn configuration(sectors: u64) -> [u8; 60] {
    let mut configuration = [0; 60];
    let mut put = |at: usize, value: u32| {
        configuration[at..at + 4].copy_from_slice(&value.to_le_bytes());
    };
    let [low, high] = halves(sectors);
    put(0, low);
    put(4, high);
    put(12, SEGMENTS);
    // For discards: the most sectors of a range, the most ranges, the alignment. For zeros: the
    // most sectors, the most ranges, and that zeros may be holes.
    put(36, RANGE_SECTORS);
    put(40, RANGES);
    put(44, 1);
    put(48, RANGE_SECTORS);
    put(52, RANGES);
    put(56, 1);
    configuration
}

/// The first two words of `bytes`.
fn words(bytes: &[u8]) -> [u32; 2] {
    [0, 4].map(|at| {
        let word = bytes[at..at + 4].first_chunk().expect("four bytes");
        u32::from_le_bytes(*word)
    })
}
