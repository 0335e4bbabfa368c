//! A driver for tests, which writes rings and descriptors into guest memory: as Linux does, or as
//! Linux never would.

use vm_memory::{Bytes as _, GuestAddress};
use vmm_sys_util::eventfd::EventFd;

use super::Device;
use super::mmio::{Transport, ViolationError};
use crate::devices::serial::Interrupt;
use crate::memory::{Memory, map};

pub(crate) const TABLE: u64 = 0x1_0000;
pub(crate) const AVAILABLE: u64 = 0x2_0000;
pub(crate) const USED: u64 = 0x3_0000;
/// The indirect tables.
pub(crate) const INDIRECT: u64 = 0x4_0000;
/// The start of the memory for buffers.
pub(crate) const BUFFERS: u64 = 0x10_0000;
/// Bytes of guest memory.
pub(crate) const MEMORY: u64 = 4 << 20;

pub(crate) const NEXT: u16 = 1;
pub(crate) const WRITE: u16 = 2;
pub(crate) const TABLE_OF_ITS_OWN: u16 = 4;

/// One entry of a descriptor table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub address: u64,
    pub length: u32,
    pub flags: u16,
    pub next: u16,
}

/// A device with its driver.
#[derive(Debug)]
pub(crate) struct Driver {
    pub memory: Memory,
    pub transport: Transport,
    queue: u32,
    size: u16,
    index: u16,
}

impl Driver {
    /// Makes a driver that has chosen `features` beside version 1 and set up one queue of `size`
    /// entries.
    pub(crate) fn new(device: Box<dyn Device>, features: u64, size: u16) -> Self {
        Self::of_queue(0, device, features, size)
    }

    /// Makes such a driver for queue number `queue` of a device with several.
    pub(crate) fn of_queue(queue: u32, device: Box<dyn Device>, features: u64, size: u16) -> Self {
        let interrupt = Interrupt::new(EventFd::new(0).unwrap());
        let mut driver = Self {
            memory: map(&[(0, MEMORY)]).unwrap(),
            transport: Transport::new(device, interrupt),
            queue,
            size,
            index: 0,
        };
        driver.start(features);
        driver
    }

    fn start(&mut self, features: u64) {
        let [low, high] = super::halves(features | 1 << 32);
        for (offset, value) in [
            (0x70, 0),
            (0x70, 1),
            (0x70, 3),
            (0x24, 0),
            (0x20, low),
            (0x24, 1),
            (0x20, high),
            (0x70, 11),
            (0x30, self.queue),
            (0x38, self.size.into()),
            (0x80, u32::try_from(TABLE).unwrap()),
            (0x90, u32::try_from(AVAILABLE).unwrap()),
            (0xa0, u32::try_from(USED).unwrap()),
            (0x44, 1),
            (0x70, 15),
        ] {
            self.write(offset, value).unwrap();
        }
        assert_eq!(self.read(0x70), 15, "the device accepts its driver");
    }

    pub(crate) fn write(&mut self, offset: u64, value: u32) -> Result<(), ViolationError> {
        self.transport
            .write(offset, &value.to_le_bytes(), &self.memory)
    }

    pub(crate) fn read(&self, offset: u64) -> u32 {
        let mut value = [0; 4];
        self.transport.read(offset, &mut value);
        u32::from_le_bytes(value)
    }

    /// Writes one entry of the table at `table`.
    pub(crate) fn put(&self, table: u64, index: u16, entry: Entry) {
        let at = table + u64::from(index) * 16;
        let mut bytes = entry.address.to_le_bytes().to_vec();
        bytes.extend(entry.length.to_le_bytes());
        bytes.extend(entry.flags.to_le_bytes());
        bytes.extend(entry.next.to_le_bytes());
        self.memory.write_slice(&bytes, GuestAddress(at)).unwrap();
    }

    /// Makes the chain at `head` available, and notifies the device.
    pub(crate) fn submit(&mut self, head: u16) -> Result<(), ViolationError> {
        self.offer(head);
        self.write(0x50, self.queue)
    }

    /// Makes the chain at `head` available.
    pub(crate) fn offer(&mut self, head: u16) {
        let slot = AVAILABLE + 4 + u64::from(self.index % self.size) * 2;
        self.memory.write_obj(head, GuestAddress(slot)).unwrap();
        self.index = self.index.wrapping_add(1);
        self.set_available_index(self.index);
    }

    /// Does what the device's worker would do until `count` chains are given back.
    pub(crate) fn await_used(&mut self, count: u16) {
        while self.used().0 != count {
            self.transport
                .serve(self.queue as usize, &self.memory)
                .unwrap();
        }
    }

    pub(crate) fn set_available_index(&self, index: u16) {
        self.memory
            .write_obj(index, GuestAddress(AVAILABLE + 2))
            .unwrap();
    }

    /// The number of chains that were given back, the head of the last one, and the bytes that were
    /// written to its buffers.
    pub(crate) fn used(&self) -> (u16, u32, u32) {
        let word = |at| self.memory.read_obj::<u32>(GuestAddress(at)).unwrap();
        let count: u16 = self.memory.read_obj(GuestAddress(USED + 2)).unwrap();
        let slot = USED + 4 + u64::from(count.wrapping_sub(1) % self.size) * 8;
        (count, word(slot), word(slot + 4))
    }
}
