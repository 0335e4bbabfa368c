//! Reads and writes of the block device: in the exit that announces them, or through a ring,
//! several at once.
//!
//! Bytes that go through the host's page cache are mostly there already. To move them takes less
//! time than to wake a thread, so they are moved in the exit. Bytes that bypass the page cache wait
//! for the host's disk, which is fastest with several requests at once. A thread puts such requests
//! into a ring, if the host has rings, and takes back what is done, while the guest runs on
//! (docs/adr/0005).

use std::os::fd::AsRawFd as _;
use std::sync::{Mutex, PoisonError};
use std::{fmt, io};

use nix::errno::Errno;
use vmm_sys_util::eventfd::EventFd;

use super::mmio::{Transport, ViolationError};
use super::queue::{Buffers, QueueError};
use crate::devices::disk::{AccessMode, Durability, HostCache, HostDisk};
use crate::devices::disk_ring::{DiskRing, Operation};
use crate::devices::host_io::GuestSlices;
use crate::memory::Memory;

/// The direction in which the bytes of a transfer move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the disk.
    Read,
    /// To the disk.
    Write,
}

/// A read or write within the disk.
#[derive(Debug)]
pub(super) struct Transfer {
    /// The number by which the chain is given back.
    pub head: u16,
    /// The direction in which the bytes move.
    pub direction: Direction,
    /// The offset on the disk.
    pub offset: u64,
    /// The driver's buffers for the bytes.
    pub data: Buffers,
    /// The driver's buffer for the status.
    pub status: Buffers,
}

/// A transfer that is over.
#[derive(Debug)]
pub(super) struct FinishedTransfer {
    /// The transfer.
    pub transfer: Transfer,
    /// Success if all bytes were moved: a disk has no short reads.
    pub result: Result<(), Errno>,
}

/// The transfers of a disk.
#[derive(Debug)]
pub(super) struct Transfers {
    disk: HostDisk,
    cache: HostCache,
    ring: Option<DiskRing<Transfer>>,
    /// Whether the driver flushes. For a driver that never does, each write is made durable at once
    /// (specification, 5.2.6.2).
    driver_flushes: bool,
}

impl Transfers {
    /// Makes the transfers of `disk`. They use the host's page cache or bypass it.
    pub fn new(disk: HostDisk, cache: HostCache) -> Self {
        let direct = match cache {
            HostCache::Used => None,
            HostCache::Bypassed => disk.direct(),
        };
        // On a host without rings, every transfer is done in the exit.
        let ring = direct.and_then(|disk| DiskRing::new(disk).ok());
        Self {
            disk,
            cache,
            ring,
            driver_flushes: false,
        }
    }

    /// The disk.
    pub fn disk(&self) -> &HostDisk {
        &self.disk
    }

    /// Whether a write has to be durable when it is answered.
    pub fn durability(&self) -> Durability {
        if self.driver_flushes {
            Durability::Deferred
        } else {
            Durability::Immediate
        }
    }

    /// Learns whether the driver flushes.
    pub fn set_driver_flushes(&mut self, flushes: bool) {
        self.driver_flushes = flushes;
    }

    /// The worker for the transfers that are not done in their exit, if there are such.
    pub fn worker(&self) -> io::Result<Option<DiskWorker>> {
        let completions = self.ring.as_ref().map(DiskRing::completions).transpose()?;
        Ok(completions.map(DiskWorker))
    }

    /// Starts a transfer. A transfer that is over at once is returned.
    pub fn start(
        &mut self,
        transfer: Transfer,
        memory: &Memory,
    ) -> Result<Option<FinishedTransfer>, QueueError> {
        let mut slices = transfer.data.slices(memory)?;
        let offset = transfer.offset;
        let operation = match transfer.direction {
            Direction::Read => Operation::Read,
            Direction::Write => Operation::Write(self.durability()),
        };
        let not_started = match &mut self.ring {
            Some(ring) => ring
                .start(transfer, operation, &slices, offset, memory)
                .err(),
            None => Some(transfer),
        };
        let Some(transfer) = not_started else {
            return Ok(None);
        };
        let result = self.move_all(transfer.direction, &mut slices, offset);
        Ok(Some(FinishedTransfer { transfer, result }))
    }

    /// The next transfer that was started and is over. If the host has not moved all bytes, the
    /// rest is moved here, since that gives a better error.
    pub fn next_finished(
        &mut self,
        memory: &Memory,
    ) -> Result<Option<FinishedTransfer>, QueueError> {
        let Some((transfer, moved)) = self.ring.as_mut().and_then(DiskRing::next_done) else {
            return Ok(None);
        };
        let moved = moved.unwrap_or(0);
        if moved as u64 == transfer.data.length() {
            let result = Ok(());
            return Ok(Some(FinishedTransfer { transfer, result }));
        }
        let mut slices = transfer.data.slices(memory)?;
        slices.skip(moved);
        let offset = transfer.offset + moved as u64;
        let result = self.move_all(transfer.direction, &mut slices, offset);
        Ok(Some(FinishedTransfer { transfer, result }))
    }

    /// Waits for all transfers that were started, and forgets them.
    pub fn drain(&mut self) {
        if let Some(ring) = &mut self.ring {
            ring.drain();
        }
    }

    /// Moves all bytes or fails. Bytes that are not aligned for the host's `O_DIRECT` go through
    /// its page cache.
    fn move_all(
        &self,
        direction: Direction,
        slices: &mut GuestSlices<'_>,
        offset: u64,
    ) -> Result<(), Errno> {
        let length = slices.len() as u64;
        let durability = self.durability();
        let mut move_some = |offset, cache| match direction {
            Direction::Read => self.disk.read(slices, offset, cache),
            Direction::Write => {
                let mode = AccessMode { cache, durability };
                self.disk.write(slices, offset, mode)
            }
        };
        let is_direct = self.cache == HostCache::Bypassed;
        let mut done = match move_some(offset, self.cache) {
            Err(Errno::EINVAL) if is_direct => 0,
            result => result? as u64,
        };
        if done < length && is_direct {
            done += move_some(offset + done, HostCache::Used)? as u64;
        }
        if done == length {
            Ok(())
        } else {
            Err(Errno::EIO)
        }
    }
}

/// The work of a disk's thread: to give back transfers that are over, and to start those that the
/// driver asks for.
pub struct DiskWorker(EventFd);

impl fmt::Debug for DiskWorker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DiskWorker({})", self.0.as_raw_fd())
    }
}

impl DiskWorker {
    /// The event that wakes the worker. The ring writes to the event, and so may others.
    pub(crate) fn event(&self) -> &EventFd {
        &self.0
    }

    /// Serves the queue of the disk's `transport` at each event, until the driver breaks the rules.
    pub fn run(&self, transport: &Mutex<Transport>, memory: &Memory) -> ViolationError {
        loop {
            // A failed wait only makes the worker look at the ring once more.
            let _ = self.0.read();
            let mut disk = transport.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = disk.serve(0, memory) {
                return error;
            }
        }
    }
}
