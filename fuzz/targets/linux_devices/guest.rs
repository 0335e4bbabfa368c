//! A guest that the fuzzer makes up: its actions, one after the other.

use arbitrary::Arbitrary;
use isobench_vmm::linux::layout::{ERROR_PORT, INPUT_PORT, OUTPUT_PORT, VIRTIO, VIRTIO_SIZE};

#[derive(Debug, Arbitrary)]
pub struct Guest<'a> {
    pub read_only: bool,
    /// A driver that has set a queue up by the rules. Without a driver, the devices are as after a
    /// reset.
    pub driver: Option<Driver>,
    pub actions: Vec<Action<'a>>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
pub struct Driver {
    pub of: Queue,
    pub features: u32,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Queue {
    Disk,
    Receive,
    Transmit,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Stream {
    Output,
    Error,
    Input,
}

impl Stream {
    pub const fn port(self) -> u16 {
        match self {
            Self::Output => OUTPUT_PORT,
            Self::Error => ERROR_PORT,
            Self::Input => INPUT_PORT,
        }
    }
}

#[derive(Debug, Arbitrary)]
pub enum Action<'a> {
    ReadPort {
        port: Port,
        width: u8,
    },
    WritePort {
        port: Port,
        bytes: &'a [u8],
    },
    /// Moves the bytes of a stream, in pieces of an address and a length each.
    Transfer {
        stream: Stream,
        pieces: Vec<(Address, u32)>,
    },
    ReadRegister {
        at: Register,
        width: u8,
    },
    WriteRegister {
        at: Register,
        value: u32,
    },
    WriteOdd {
        at: Register,
        bytes: &'a [u8],
    },
    /// Writes bytes to the guest's memory.
    Fill {
        word: u16,
        bytes: &'a [u8],
    },
    Describe(Descriptor),
    Index(u16),
    /// Sends a packet from the host.
    Arrive(&'a [u8]),
    /// Makes the chain at `head` available by the rules, and notifies the device.
    Submit {
        head: u8,
    },
    /// Submits a request in the chain that begins with entry 0. The chain keeps to the rules, but
    /// its data may not.
    Request {
        kind: u8,
        sector: u64,
        length: u16,
        writable: bool,
        data: &'a [u8],
    },
}

#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Port {
    Serial(u8),
    Own(u8),
    Any(u16),
}

#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Register {
    Disk(u8),
    Card(u8),
    Any(u64),
}

#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Address {
    Near(u16),
    Any(u64),
}

#[derive(Debug, Arbitrary)]
pub struct Descriptor {
    pub indirect: bool,
    pub index: u8,
    pub address: Address,
    pub length: u32,
    pub flags: u8,
    pub next: u8,
}

impl Port {
    pub fn number(self) -> u16 {
        match self {
            Self::Serial(register) => 0x3f8 + u16::from(register % 8),
            // The port that ends the machine is left out.
            Self::Own(port) => 0xe90 + u16::from(port % 4),
            Self::Any(port) => port,
        }
    }
}

impl Register {
    pub fn address(self) -> u64 {
        match self {
            Self::Disk(word) => VIRTIO + u64::from(word) * 4,
            Self::Card(word) => VIRTIO + VIRTIO_SIZE + u64::from(word) * 4,
            Self::Any(address) => address,
        }
    }
}

impl Address {
    pub fn number(self) -> u64 {
        match self {
            Self::Near(word) => u64::from(word) * 4,
            Self::Any(address) => address,
        }
    }
}

impl Queue {
    /// The address of the device's registers, and the queue's number in the device.
    pub fn place(self) -> (u64, u32) {
        match self {
            Self::Disk => (VIRTIO, 0),
            Self::Receive => (VIRTIO + VIRTIO_SIZE, 0),
            Self::Transmit => (VIRTIO + VIRTIO_SIZE, 1),
        }
    }
}
