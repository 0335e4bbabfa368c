#![expect(unsafe_code, reason = "gives the guest the middle of a mapping")]
//! The machine for a guest that the fuzzer makes up, and what must be true afterwards.

use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock, Mutex};

use isobench_vmm::devices::disk::{HostCache, HostDisk};
use isobench_vmm::devices::program_input::Input;
use isobench_vmm::devices::program_output::Output;
use isobench_vmm::devices::serial::{Interrupt, KernelMessages, SerialPort};
use isobench_vmm::devices::virtio::block::Block;
use isobench_vmm::devices::virtio::mmio::Transport;
use isobench_vmm::devices::virtio::net::Net;
use isobench_vmm::linux::Board;
use isobench_vmm::memory::Memory;
use nix::sys::memfd::{MFdFlags, memfd_create};
use vm_memory::{Bytes as _, GuestAddress, GuestRegionMmap, MmapRegion, VolatileMemory as _};
use vmm_sys_util::eventfd::EventFd;

use crate::guest::{Action, Address, Descriptor, Driver, Queue};

/// The bytes of guest memory: as many words of four bytes as a `u16` counts. On each side lie as
/// many bytes that are not the guest's.
const MEMORY: usize = 256 << 10;
const FOREIGN: u8 = 0xa5;
const SECTORS: u64 = 64;
// The addresses of a proper driver's queue, and the number of its entries.
const TABLE: u64 = 0x1000;
const AVAILABLE: u64 = 0x2000;
const USED: u64 = 0x3000;
const QUEUE: u16 = 16;
/// The address of a proper request.
const REQUEST: u64 = 0x8000;

/// Guest memory between two pieces that are not the guest's.
static ARENA: LazyLock<MmapRegion> = LazyLock::new(|| {
    let arena = MmapRegion::new(3 * MEMORY).expect("memory");
    for at in [0, 2 * MEMORY] {
        let foreign = arena.get_slice(at, MEMORY).expect("inside");
        foreign.copy_from(&[FOREIGN; MEMORY]);
    }
    arena
});

/// Makes guest memory that is zero.
fn memory() -> Memory {
    let start = ARENA.as_ptr().wrapping_add(MEMORY);
    let (protection, flags) = (ARENA.prot(), ARENA.flags());
    // SAFETY: the middle third of a mapping that is never unmapped.
    let middle = unsafe { MmapRegion::build_raw(start, MEMORY, protection, flags) };
    let region = GuestRegionMmap::new(middle.expect("memory"), GuestAddress(0));
    let memory = Memory::from_regions(vec![region.expect("memory").into()]).expect("memory");
    let zero = memory.write_slice(&[0; MEMORY], GuestAddress(0));
    zero.expect("inside");
    memory
}

/// The machine, the host's ends of its devices, and the queue in use.
pub struct Machine {
    board: Board,
    disk: File,
    network: UnixDatagram,
    queue: Queue,
    index: u16,
}

impl Machine {
    pub fn new(read_only: bool) -> Self {
        let disk = File::from(memfd_create("disk", MFdFlags::MFD_CLOEXEC).expect("a disk"));
        disk.set_len(SECTORS * 512).expect("a disk");
        let path = PathBuf::from(format!("/proc/self/fd/{}", disk.as_raw_fd()));
        let opened = if read_only {
            HostDisk::open_read_only(&path)
        } else {
            HostDisk::open(&path)
        };
        // Requests that bypass the page cache go through a ring, if this host has rings.
        let cache = if read_only {
            HostCache::Used
        } else {
            HostCache::Bypassed
        };
        let block = Block::new(opened.expect("a disk"), cache);
        let (tap, network) = UnixDatagram::pair().expect("a pair of sockets");
        for end in [&tap, &network] {
            end.set_nonblocking(true).expect("a socket");
        }
        let card = Net::new(tap.into(), [2, 0, 0, 0, 0, 1]);
        let interrupt = || Interrupt::new(EventFd::new(0).expect("an event"));
        let null = || {
            let null = File::options().read(true).write(true).open("/dev/null");
            OwnedFd::from(null.expect("the null device"))
        };
        let board = Board {
            memory: memory(),
            serial: Mutex::new(SerialPort::new(interrupt(), KernelMessages::Kept)),
            input: Some(Input::new(null())),
            output: Output::new(null()),
            error: Output::new(null()),
            virtio: vec![
                Mutex::new(Transport::new(Box::new(block), interrupt())),
                Mutex::new(Transport::new(Box::new(card), interrupt())),
            ],
            on_phase: Box::new(|_| ()),
            started: AtomicBool::new(false),
            ready: AtomicBool::new(false),
            exits: Arc::default(),
        };
        Self {
            board,
            disk,
            network,
            queue: Queue::Disk,
            index: 0,
        }
    }

    /// Does an action, and returns whether the machine goes on.
    pub fn act(&mut self, action: Action) -> bool {
        match action {
            Action::ReadPort { port, width } => {
                self.board
                    .read_port(port.number(), &mut vec![0; width.into()]);
            }
            Action::WritePort { port, bytes } => {
                return self.board.write_port(port.number(), bytes).is_none();
            }
            Action::Transfer { stream, pieces } => {
                let pieces: Vec<_> = pieces
                    .into_iter()
                    .map(|(address, length)| (address.number(), length.into()))
                    .collect();
                return self.board.transfer(stream.port(), &pieces).is_none();
            }
            Action::ReadRegister { at, width } => {
                self.board
                    .read_address(at.address(), &mut vec![0; (width % 9).into()]);
            }
            Action::WriteRegister { at, value } => return self.write(at.address(), value),
            Action::WriteOdd { at, bytes } => {
                return self.board.write_address(at.address(), bytes).is_ok();
            }
            Action::Fill { word, bytes } => self.put(u64::from(word) * 4, bytes),
            Action::Describe(descriptor) => self.describe(&descriptor),
            Action::Index(index) => self.put(AVAILABLE + 2, &index.to_le_bytes()),
            Action::Arrive(packet) => return self.arrive(packet),
            Action::Submit { head } => return self.submit(head.into()),
            Action::Request {
                kind,
                sector,
                length,
                writable,
                data,
            } => {
                self.request(kind, sector, length, writable, data);
                return self.submit(0);
            }
        }
        true
    }

    fn write(&self, address: u64, value: u32) -> bool {
        self.board
            .write_address(address, &value.to_le_bytes())
            .is_ok()
    }

    /// Writes as the guest does: bytes outside of its memory are left out.
    fn put(&self, at: u64, bytes: &[u8]) {
        let _ = self.board.memory.write(bytes, GuestAddress(at));
    }

    /// Sends a packet, which is lost without room for it, and does what the card's worker does.
    fn arrive(&self, packet: &[u8]) -> bool {
        let _ = self.network.send(packet);
        let mut card = self.board.virtio[1].lock().expect("no panic");
        card.serve(0, &self.board.memory).is_ok()
    }

    /// Sets up a device and one queue, as a driver does that keeps to the rules.
    pub fn set_up(&mut self, driver: Driver) {
        self.queue = driver.of;
        let (registers, queue) = driver.of.place();
        let features = driver.features;
        let offered = self.register(0x10);
        for (offset, value) in [
            (0x70, 1),
            (0x70, 3),
            (0x24, 0),
            (0x20, features & offered),
            (0x24, 1),
            (0x20, 1),
            (0x70, 11),
            (0x30, queue),
            (0x38, QUEUE.into()),
            (0x80, TABLE as u32),
            (0x90, AVAILABLE as u32),
            (0xa0, USED as u32),
            (0x44, 1),
            (0x70, 15),
        ] {
            assert!(self.write(registers + offset, value));
        }
        assert_eq!(self.register(0x70), 15, "the device accepts its driver");
    }

    fn register(&self, offset: u64) -> u32 {
        let mut value = [0; 4];
        let (registers, _) = self.queue.place();
        self.board.read_address(registers + offset, &mut value);
        u32::from_le_bytes(value)
    }

    fn describe(&self, descriptor: &Descriptor) {
        let table = if descriptor.indirect { REQUEST } else { TABLE };
        let mut entry = descriptor.address.number().to_le_bytes().to_vec();
        entry.extend(descriptor.length.to_le_bytes());
        entry.extend(u16::from(descriptor.flags).to_le_bytes());
        entry.extend(u16::from(descriptor.next).to_le_bytes());
        self.put(table + u64::from(descriptor.index) * 16, &entry);
    }

    fn submit(&mut self, head: u16) -> bool {
        let slot = AVAILABLE + 4 + u64::from(self.index % QUEUE) * 2;
        self.put(slot, &head.to_le_bytes());
        self.index = self.index.wrapping_add(1);
        self.put(AVAILABLE + 2, &self.index.to_le_bytes());
        let (registers, queue) = self.queue.place();
        self.write(registers + 0x50, queue) && self.give_back()
    }

    /// Does what the disk's worker does.
    fn give_back(&self) -> bool {
        let mut disk = self.board.virtio[0].lock().expect("no panic");
        disk.serve(0, &self.board.memory).is_ok()
    }

    fn request(&self, kind: u8, sector: u64, length: u16, writable: bool, data: &[u8]) {
        let mut header = u32::from(kind).to_le_bytes().to_vec();
        header.extend([0; 4]);
        header.extend(sector.to_le_bytes());
        self.put(REQUEST, &header);
        self.put(REQUEST + 0x1000, data);
        let chain = [
            (0, 16, 1),
            (0x1000, length.into(), 1 | u8::from(writable) << 1),
            (16, 1, 2),
        ];
        for (index, (offset, length, flags)) in (0..).zip(chain) {
            let address = Address::Any(REQUEST + offset);
            self.describe(&Descriptor {
                indirect: false,
                index,
                address,
                length,
                flags,
                next: index + 1,
            });
        }
    }

    /// Checks that nothing has changed that is not the guest's.
    pub fn check(&self) {
        let mut bytes = vec![0; MEMORY];
        for at in [0, 2 * MEMORY] {
            let foreign = ARENA.get_slice(at, MEMORY).expect("inside");
            foreign.copy_to(&mut bytes[..]);
            assert!(
                bytes == [FOREIGN; MEMORY],
                "memory beside the guest's has changed"
            );
        }
        let size = self.disk.metadata().expect("a file").len();
        assert_eq!(size, SECTORS * 512, "the disk's size has changed");
    }
}
