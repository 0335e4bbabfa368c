//! The block device (specification, 5.2): requests of a guest's driver, served on a disk of the host's.
//!
//! What a driver may get wrong within a request (a sector past the end, a write to a disk that it may only read, an unknown
//! kind) is answered by a status, as a disk does. Only what leaves nowhere to put the status is a [`QueueError`].

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
use super::transfer::{DiskWorker, Done, Mover, Transfer};
use super::{Device, halves};
use crate::devices::block::{BlockDevice, SECTOR};
use crate::memory::Memory;

/// Entries of the one queue, and so the most buffers of a request: two are its header and its status.
const QUEUE: u16 = 256;
const SEGMENTS: u32 = QUEUE as u32 - 2;
/// Kind, a reserved word, first sector.
const HEADER: usize = 16;
/// First sector, number of sectors, flags: one range to discard or to make zero.
const RANGE: usize = 16;
const RANGES: u32 = 16;
/// Most sectors of such a range: 32 MiB, so that a host without a fast way writes zeros for a moment only.
const RANGE_SECTORS: u32 = 1 << 16;
/// Flag of a range: zeros may be holes.
const MAY_UNMAP: u32 = 1;
const SERIAL_NUMBER: &[u8; 20] = b"isobench-disk\0\0\0\0\0\0\0";

/// Why a request was not served: a status of the specification's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Failed,
    Unsupported,
}

/// A disk behind a virtqueue.
#[derive(Debug)]
pub struct Block {
    mover: Mover,
    configuration: [u8; 60],
}

impl Block {
    /// A device for `disk`; past the host's page cache if `direct`, or through it.
    pub fn new(disk: BlockDevice, direct: bool) -> Self {
        let configuration = configuration(disk.size() / SECTOR);
        Self {
            mover: Mover::new(disk, direct),
            configuration,
        }
    }

    /// Who waits for requests that are not served in their exit, if any are.
    ///
    /// # Errors
    /// The host has no descriptor left.
    pub fn worker(&self) -> io::Result<Option<DiskWorker>> {
        self.mover.worker()
    }

    fn disk(&self) -> &BlockDevice {
        self.mover.disk()
    }

    /// Serves one request and gives how many bytes of its buffers were written, or nothing if that comes later.
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
                let is_write = kind == VIRTIO_BLK_T_OUT;
                let data = if is_write { data } else { writable };
                return self.transfer(head, is_write, sector, data, status, memory);
            }
            VIRTIO_BLK_T_FLUSH => self
                .disk()
                .flush(true)
                .map(|()| 0)
                .map_err(|_| Refusal::Failed),
            VIRTIO_BLK_T_GET_ID => Ok(writable.write(memory, SERIAL_NUMBER)? as u64),
            VIRTIO_BLK_T_DISCARD | VIRTIO_BLK_T_WRITE_ZEROES => {
                self.ranges(kind == VIRTIO_BLK_T_DISCARD, &data, memory)?
            }
            _ => Err(Refusal::Unsupported),
        };
        answer(&status, done, memory).map(Some)
    }

    fn transfer(
        &mut self,
        head: u16,
        is_write: bool,
        sector: u64,
        data: Buffers,
        status: Buffers,
        memory: &Memory,
    ) -> Result<Option<u32>, QueueError> {
        let offset = self.offset(sector, data.length());
        let refuses = is_write && self.disk().is_read_only();
        let Some(offset) = offset.filter(|_| !refuses) else {
            // Buffers that can't be are worse than a place that can't.
            data.slices(memory)?;
            return answer(&status, Err(Refusal::Failed), memory).map(Some);
        };
        let transfer = Transfer {
            head,
            is_write,
            offset,
            data,
            status,
        };
        match self.mover.start(transfer, memory)? {
            Some(done) => transferred(&done, memory).map(Some),
            None => Ok(None),
        }
    }

    /// Gives back what is over of that which was started.
    fn give_back(&mut self, queue: &mut Queue, memory: &Memory) -> Result<(), QueueError> {
        while let Some(done) = self.mover.next_done(memory)? {
            let written = transferred(&done, memory)?;
            queue
                .add_used(memory, done.0.head, written)
                .map_err(QueueError::Ring)?;
        }
        Ok(())
    }

    /// Discards ranges, or makes them zero.
    fn ranges(
        &self,
        discard: bool,
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
            .try_for_each(|range| self.range(discard, range))
            .map(|()| 0))
    }

    fn range(&self, discard: bool, range: &[u8]) -> Result<(), Refusal> {
        let (sector, rest) = range.split_first_chunk().ok_or(Refusal::Failed)?;
        let [sectors, flags] = words(rest);
        if flags & !MAY_UNMAP != 0 || discard && flags != 0 {
            return Err(Refusal::Unsupported);
        }
        let length = u64::from(sectors) * SECTOR;
        let offset = self.offset(u64::from_le_bytes(*sector), length);
        let Some(offset) = offset.filter(|_| !self.disk().is_read_only()) else {
            return Err(Refusal::Failed);
        };
        if sectors > RANGE_SECTORS {
            return Err(Refusal::Failed);
        }
        let done = if discard {
            self.disk().discard(offset, length)
        } else {
            self.disk()
                .write_zeros(offset, length, flags & MAY_UNMAP != 0)
        };
        done.map_err(|_| Refusal::Failed)?;
        if self.mover.flushes {
            return Ok(());
        }
        self.disk().flush(true).map_err(|_| Refusal::Failed)
    }

    /// Where a request is on the disk, if all of it is, in whole sectors.
    fn offset(&self, sector: u64, length: u64) -> Option<u64> {
        let offset = sector.checked_mul(SECTOR)?;
        let end = offset.checked_add(length)?;
        (length.is_multiple_of(SECTOR) && end <= self.disk().size()).then_some(offset)
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

    fn accept(&mut self, features: u64) {
        self.mover.flushes = features & 1 << VIRTIO_BLK_F_FLUSH != 0;
    }

    fn reset(&mut self) {
        self.mover.drain();
    }

    fn serve(&mut self, _: usize, queue: &mut Queue, memory: &Memory) -> Result<bool, QueueError> {
        self.give_back(queue, memory)?;
        serve_all(queue, memory, |chain| self.request(chain, memory))
    }
}

/// Tells the driver how a transfer went, and gives how many bytes of its buffers were written.
fn transferred((transfer, result): &Done, memory: &Memory) -> Result<u32, QueueError> {
    let written = if transfer.is_write {
        0
    } else {
        transfer.data.length()
    };
    let done = result.map(|()| written).map_err(|_| Refusal::Failed);
    answer(&transfer.status, done, memory)
}

/// Tells the driver how a request went.
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
    // A chain is shorter than 2^32 bytes.
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
    // Discard: most sectors of a range, most ranges, alignment. Zeros: most sectors, most ranges, holes allowed.
    put(36, RANGE_SECTORS);
    put(40, RANGES);
    put(44, 1);
    put(48, RANGE_SECTORS);
    put(52, RANGES);
    put(56, 1);
    configuration
}

/// The first two words.
fn words(bytes: &[u8]) -> [u32; 2] {
    [0, 4].map(|at| {
        let word = bytes[at..at + 4].first_chunk().expect("four bytes");
        u32::from_le_bytes(*word)
    })
}
