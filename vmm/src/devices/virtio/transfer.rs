//! Reads and writes of the block device: in the exit that announces them, or through a ring with several under way.
//!
//! What goes through the host's page cache is mostly there already, and moving it takes less than waking anybody would: it is
//! served in the exit. What goes past it waits for the host's disk, which is fastest with several at once: a thread puts it
//! into a ring, if the host has one, and takes back what is done, while the guest runs on (docs/adr/0005).

use std::os::fd::AsRawFd as _;
use std::sync::{Mutex, PoisonError};
use std::{fmt, io};

use nix::errno::Errno;
use vmm_sys_util::eventfd::EventFd;

use super::mmio::{Transport, ViolationError};
use super::queue::{Buffers, QueueError};
use crate::devices::block::{BlockDevice, Mode};
use crate::devices::disk_ring::{Direction, DiskRing};
use crate::devices::host_io::GuestSlices;
use crate::memory::Memory;

/// A read or write within the disk.
#[derive(Debug)]
pub(super) struct Transfer {
    /// What its chain is given back by.
    pub head: u16,
    /// To the disk, or from it.
    pub is_write: bool,
    /// Where on the disk it begins.
    pub offset: u64,
    /// What is moved.
    pub data: Buffers,
    /// Where the driver wants to be told how it went.
    pub status: Buffers,
}

/// A transfer that is over: whether all its bytes were moved, since a disk has no short reads.
pub(super) type Done = (Transfer, Result<(), Errno>);

/// How a disk's bytes are moved.
#[derive(Debug)]
pub(super) struct Mover {
    disk: BlockDevice,
    direct: bool,
    ring: Option<DiskRing<Transfer>>,
    /// Whether the driver flushes. One that never does gets each write made durable (specification, 5.2.6.2).
    pub flushes: bool,
}

impl Mover {
    /// Moves bytes of `disk` past the host's page cache if `direct`, or through it.
    pub fn new(disk: BlockDevice, direct: bool) -> Self {
        // A host without rings serves everything in the exit.
        let past_the_cache = disk.direct().filter(|_| direct);
        let ring = past_the_cache.and_then(|disk| DiskRing::new(disk).ok());
        Self {
            disk,
            direct,
            ring,
            flushes: false,
        }
    }

    pub fn disk(&self) -> &BlockDevice {
        &self.disk
    }

    /// What waits for transfers that are over, if not all are in their exit.
    pub fn worker(&self) -> io::Result<Option<DiskWorker>> {
        let answered = self.ring.as_ref().map(DiskRing::answered).transpose()?;
        Ok(answered.map(DiskWorker))
    }

    /// Does a transfer or starts it.
    pub fn start(
        &mut self,
        transfer: Transfer,
        memory: &Memory,
    ) -> Result<Option<Done>, QueueError> {
        let mut slices = transfer.data.slices(memory)?;
        let offset = transfer.offset;
        let durable = !self.flushes;
        let direction = if transfer.is_write {
            Direction::Write { durable }
        } else {
            Direction::Read
        };
        let not_started = match &mut self.ring {
            Some(ring) => ring
                .start(transfer, direction, &slices, offset, memory)
                .err(),
            None => Some(transfer),
        };
        let Some(transfer) = not_started else {
            return Ok(None);
        };
        let result = self.move_all(&transfer, &mut slices, offset);
        Ok(Some((transfer, result)))
    }

    /// One of those that were started and are over. What the host has not moved all of is moved on here: it says more of why not.
    pub fn next_done(&mut self, memory: &Memory) -> Result<Option<Done>, QueueError> {
        let Some((transfer, moved)) = self.ring.as_mut().and_then(DiskRing::next_done) else {
            return Ok(None);
        };
        let moved = moved.unwrap_or(0);
        if moved as u64 == transfer.data.length() {
            return Ok(Some((transfer, Ok(()))));
        }
        let mut slices = transfer.data.slices(memory)?;
        slices.skip(moved);
        let result = self.move_all(&transfer, &mut slices, transfer.offset + moved as u64);
        Ok(Some((transfer, result)))
    }

    /// Waits for all that were started, and forgets them.
    pub fn drain(&mut self) {
        if let Some(ring) = &mut self.ring {
            ring.drain();
        }
    }

    /// Moves all bytes or fails. What is not aligned for the host's `O_DIRECT` goes through its page cache.
    fn move_all(
        &self,
        transfer: &Transfer,
        slices: &mut GuestSlices<'_>,
        offset: u64,
    ) -> Result<(), Errno> {
        let length = slices.len() as u64;
        let mut mode = Mode {
            direct: self.direct,
            durable: !self.flushes,
        };
        let mut step = |at, mode| {
            if transfer.is_write {
                self.disk.write(slices, at, mode)
            } else {
                self.disk.read(slices, at, mode)
            }
        };
        let mut done = match step(offset, mode) {
            Err(Errno::EINVAL) if mode.direct => 0,
            result => result? as u64,
        };
        if done < length && mode.direct {
            mode.direct = false;
            done += step(offset + done, mode)? as u64;
        }
        if done == length {
            Ok(())
        } else {
            Err(Errno::EIO)
        }
    }
}

/// Who waits for transfers that are over, and for those that a driver asks for.
pub struct DiskWorker(EventFd);

impl fmt::Debug for DiskWorker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DiskWorker({})", self.0.as_raw_fd())
    }
}

impl DiskWorker {
    /// What wakes it up: the ring, and whoever else writes to it.
    pub(crate) fn event(&self) -> &EventFd {
        &self.0
    }

    /// Has `transport`, the disk's, give back what is over and start what was asked for, until the driver breaks the rules.
    pub fn run(&self, transport: &Mutex<Transport>, memory: &Memory) -> ViolationError {
        loop {
            // What interrupts the wait has it look at the ring once more.
            let _ = self.0.read();
            let mut disk = transport.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = disk.serve(0, memory) {
                return error;
            }
        }
    }
}
