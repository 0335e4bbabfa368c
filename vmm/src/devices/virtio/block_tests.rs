//! The block device compared with a model, and used by drivers that break the rules.

use proptest::prelude::*;
use tempfile::NamedTempFile;
use vm_memory::{Bytes as _, GuestAddress};

use super::block::Block;
use super::driver::{
    BUFFERS, Driver, Entry, INDIRECT, MEMORY, NEXT, TABLE, TABLE_OF_ITS_OWN, WRITE,
};
use crate::devices::disk::{DiskAccess, HostCache, HostDisk};

pub(crate) mod at_once;

const SECTORS: u64 = 64;
const FLUSH: u64 = 1 << 9;
const INDIRECT_TABLES: u64 = 1 << 28;
const EVENT_INDEX: u64 = 1 << 29;

const OK: u8 = 0;
const FAILED: u8 = 1;
const UNSUPPORTED: u8 = 2;

fn disk(access: DiskAccess) -> (NamedTempFile, Block) {
    let file = NamedTempFile::new().unwrap();
    let content: Vec<u8> = (0..SECTORS)
        .flat_map(|sector| [number(sector); 512])
        .collect();
    std::fs::write(file.path(), content).unwrap();
    let disk = match access {
        DiskAccess::ReadOnly => HostDisk::open_read_only(file.path()),
        DiskAccess::ReadWrite => HostDisk::open(file.path()),
    };
    let block = Block::new(disk.unwrap(), HostCache::Used);
    (file, block)
}

/// A disk that bypasses the host's page cache if the host can, and then mostly uses a ring.
fn direct_disk() -> (NamedTempFile, Block) {
    let (file, through_the_cache) = disk(DiskAccess::ReadWrite);
    drop(through_the_cache);
    let block = Block::new(HostDisk::open(file.path()).unwrap(), HostCache::Bypassed);
    (file, block)
}

/// The value of each byte of a sector at first.
fn number(sector: u64) -> u8 {
    u8::try_from(sector).unwrap()
}

/// A driver that makes proper requests.
struct Requester {
    driver: Driver,
    indirect: bool,
}

impl Requester {
    fn new(block: Block, features: u64) -> Self {
        Self {
            driver: Driver::new(Box::new(block), features, 64),
            indirect: features & INDIRECT_TABLES != 0,
        }
    }

    /// Makes one request of `kind`, whose data is cut into pieces of at most `piece` bytes. Returns
    /// the status and the data.
    fn request(&mut self, kind: u32, sector: u64, data: &[u8], piece: usize) -> (u8, Vec<u8>) {
        let reads = matches!(kind, 0 | 8);
        let memory = &self.driver.memory;
        let status = BUFFERS + 16;
        let start = BUFFERS + 0x1000;
        let mut header = kind.to_le_bytes().to_vec();
        header.extend([0; 4]);
        header.extend(sector.to_le_bytes());
        memory.write_slice(&header, GuestAddress(BUFFERS)).unwrap();
        memory.write_obj(0xee_u8, GuestAddress(status)).unwrap();
        memory.write_slice(data, GuestAddress(start)).unwrap();
        let mut buffers = vec![(BUFFERS, 16, 0)];
        let flags = if reads { WRITE } else { 0 };
        for (number, part) in data.chunks(piece).enumerate() {
            buffers.push((start + (number * piece) as u64, part.len(), flags));
        }
        buffers.push((status, 1, WRITE));
        self.chain(&buffers);
        let before = self.driver.used().0;
        self.driver.submit(0).unwrap();
        self.driver.await_used(before.wrapping_add(1));
        let mut after = vec![0; data.len()];
        let memory = &self.driver.memory;
        memory.read_slice(&mut after, GuestAddress(start)).unwrap();
        (memory.read_obj(GuestAddress(status)).unwrap(), after)
    }

    fn chain(&self, buffers: &[(u64, usize, u16)]) {
        let table = if self.indirect { INDIRECT } else { TABLE };
        for (number, &(address, length, flags)) in (0..).zip(buffers) {
            let is_last = usize::from(number) + 1 == buffers.len();
            let entry = Entry {
                address,
                length: u32::try_from(length).unwrap(),
                flags: if is_last { flags } else { flags | NEXT },
                next: number + 1,
            };
            self.driver.put(table, number, entry);
        }
        if self.indirect {
            let entry = Entry {
                address: INDIRECT,
                length: u32::try_from(buffers.len() * 16).unwrap(),
                flags: TABLE_OF_ITS_OWN,
                next: 0,
            };
            self.driver.put(TABLE, 0, entry);
        }
    }
}

/// A model of a disk: its bytes.
struct Model(Vec<u8>);

impl Model {
    /// Does a request of `kind`, and returns its status and the bytes that it reads.
    fn request(&mut self, kind: u32, sector: u64, data: &[u8]) -> (u8, Option<Vec<u8>>) {
        let start = usize::try_from(sector * 512).unwrap();
        let fits = data.len().is_multiple_of(512) && start + data.len() <= self.0.len();
        match kind {
            0 if fits => (OK, Some(self.0[start..start + data.len()].to_vec())),
            1 if fits => {
                self.0[start..start + data.len()].copy_from_slice(data);
                (OK, None)
            }
            0 | 1 => (FAILED, None),
            4 => (OK, None),
            _ => (UNSUPPORTED, None),
        }
    }
}

#[derive(Debug, Clone)]
struct Request {
    kind: u32,
    sector: u64,
    length: usize,
    fill: u8,
    piece: usize,
}

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let request = (
        prop::sample::select(vec![0_u32, 1, 1, 4, 77]),
        0..SECTORS + 4,
        prop::sample::select(vec![512_usize, 1024, 4096, 700, 512 * 20]),
        any::<u8>(),
        prop::sample::select(vec![256_usize, 512, 4096]),
    )
        .prop_map(|(kind, sector, length, fill, piece)| Request {
            kind,
            sector,
            length,
            fill,
            piece,
        });
    prop::collection::vec(request, 1..20)
}

proptest! {
    #[test]
    fn the_device_does_what_a_disk_does(
        requests in requests(),
        features in prop::sample::select(vec![0, FLUSH, FLUSH | INDIRECT_TABLES | EVENT_INDEX]),
        direct in any::<bool>(),
    ) {
        let (file, block) = if direct { direct_disk() } else { disk(DiskAccess::ReadWrite) };
        let mut model = Model(std::fs::read(file.path()).unwrap());
        let mut requester = Requester::new(block, features);
        for request in requests {
            let Request { kind, sector, length, fill, piece } = request;
            let data = vec![fill; length];
            let (status, after) = requester.request(kind, sector, &data, piece);
            let (expected, read) = model.request(kind, sector, &data);
            prop_assert_eq!(status, expected, "{} {} {}", kind, sector, length);
            if let Some(read) = read {
                prop_assert_eq!(after, read);
            }
        }
        prop_assert_eq!(std::fs::read(file.path()).unwrap(), model.0);
    }

    #[test]
    fn no_descriptors_break_the_device(
        entries in prop::collection::vec((any::<u64>(), any::<u32>(), any::<u16>(), any::<u16>()), 16),
        near in any::<bool>(),
        heads in prop::collection::vec(any::<u16>(), 1..8),
        jump in any::<u16>(),
        direct in any::<bool>(),
    ) {
        let (file, block) = if direct { direct_disk() } else { disk(DiskAccess::ReadWrite) };
        let mut driver = Driver::new(Box::new(block), FLUSH | INDIRECT_TABLES | EVENT_INDEX, 16);
        for (number, (address, length, flags, next)) in (0..).zip(entries) {
            // A random address is hardly ever in memory, so half of the cases stay near memory.
            let (address, length) = if near {
                (address % (MEMORY + 4096), length % 8192)
            } else {
                (address, length)
            };
            driver.put(TABLE, number, Entry { address, length, flags: flags & 7, next: next % 18 });
        }
        for head in heads {
            if driver.submit(head % 18).is_err() {
                break;
            }
        }
        driver.set_available_index(jump);
        let _ = driver.write(0x50, 0);
        prop_assert_eq!(std::fs::metadata(file.path()).unwrap().len(), SECTORS * 512);
    }

    #[test]
    fn no_register_access_breaks_the_device(
        accesses in prop::collection::vec((0_u64..0x200, any::<u32>(), any::<bool>(), 1_usize..9), 1..60),
    ) {
        let (_file, block) = disk(DiskAccess::ReadWrite);
        let mut driver = Driver::new(Box::new(block), 0, 16);
        for (offset, value, read, width) in accesses {
            let offset = if value & 1 == 0 { offset & !3 } else { offset };
            if read {
                driver.transport.read(offset, &mut vec![0; width]);
            } else if width == 8 {
                let _ = driver.transport.write(offset, &[0xff; 8], &driver.memory);
            } else if driver.write(offset, value).is_err() {
                break;
            }
        }
    }
}

fn refusal(build: impl Fn(&Driver)) -> String {
    let (_file, block) = disk(DiskAccess::ReadWrite);
    let mut driver = Driver::new(Box::new(block), INDIRECT_TABLES, 16);
    build(&driver);
    let error = driver.submit(0).unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    format!("{error}: {source}")
}

#[test]
fn each_broken_chain_is_refused_with_the_reason() {
    let entry = |address, length, flags, next| Entry {
        address,
        length,
        flags,
        next,
    };
    let header = entry(BUFFERS, 16, NEXT, 1);
    let looped = refusal(|driver| {
        driver.put(TABLE, 0, header);
        driver.put(TABLE, 1, entry(BUFFERS, 16, NEXT, 0));
    });
    assert!(
        looped.contains("the disk breaks the rules of virtio in queue 0: a descriptor chain loops"),
        "{looped}"
    );
    let left = refusal(|driver| driver.put(TABLE, 0, entry(BUFFERS, 16, NEXT, 16)));
    assert!(left.contains("leaves its table"), "{left}");
    let outside = refusal(|driver| {
        driver.put(TABLE, 0, header);
        driver.put(TABLE, 1, entry(1 << 40, 512, WRITE | NEXT, 2));
        driver.put(TABLE, 2, entry(BUFFERS, 1, WRITE, 0));
    });
    assert!(
        outside.contains("0x10000000000 of 512 bytes is not in guest memory"),
        "{outside}"
    );
    let huge = refusal(|driver| {
        driver.put(TABLE, 0, header);
        driver.put(TABLE, 1, entry(BUFFERS, u32::MAX, WRITE, 0));
    });
    assert!(huge.contains("is too long"), "{huge}");
    let no_status = refusal(|driver| driver.put(TABLE, 0, entry(BUFFERS, 16, 0, 0)));
    assert!(
        no_status.contains("not those that the device needs"),
        "{no_status}"
    );
    let nested = refusal(|driver| {
        driver.put(TABLE, 0, entry(INDIRECT, 16, TABLE_OF_ITS_OWN, 0));
        driver.put(INDIRECT, 0, entry(INDIRECT, 16, TABLE_OF_ITS_OWN, 0));
    });
    assert!(nested.contains("descriptor chain"), "{nested}");
}

#[test]
fn an_index_that_jumps_is_refused() {
    let (_file, block) = disk(DiskAccess::ReadWrite);
    let mut driver = Driver::new(Box::new(block), 0, 16);
    driver.set_available_index(17);
    assert!(driver.write(0x50, 0).is_err());
}

#[test]
fn a_read_only_disk_refuses_every_way_of_writing() {
    let (file, block) = disk(DiskAccess::ReadOnly);
    let before = std::fs::read(file.path()).unwrap();
    let mut requester = Requester::new(block, FLUSH | 1 << 5);
    assert_eq!(requester.request(1, 0, &[1; 512], 512).0, FAILED);
    let mut range = 0_u64.to_le_bytes().to_vec();
    range.extend(1_u32.to_le_bytes());
    range.extend([0; 4]);
    assert_eq!(requester.request(11, 0, &range, 512).0, FAILED);
    assert_eq!(requester.request(13, 0, &range, 512).0, FAILED);
    assert_eq!(requester.request(0, 3, &[0; 512], 512), (OK, vec![3; 512]));
    assert_eq!(std::fs::read(file.path()).unwrap(), before);
}

#[test]
fn ranges_are_discarded_and_made_zero() {
    let (file, block) = disk(DiskAccess::ReadWrite);
    let mut requester = Requester::new(block, FLUSH);
    let range = |sector: u64, sectors: u32, flags: u32| {
        let mut range = sector.to_le_bytes().to_vec();
        range.extend(sectors.to_le_bytes());
        range.extend(flags.to_le_bytes());
        range
    };
    let two = [range(8, 8, 0), range(24, 8, 1)].concat();
    assert_eq!(requester.request(13, 0, &two, 512).0, OK);
    let content = std::fs::read(file.path()).unwrap();
    for sector in 0..SECTORS {
        let at = usize::try_from(sector * 512).unwrap();
        let is_zero = (8..16).contains(&sector) || (24..32).contains(&sector);
        let expected = if is_zero { 0 } else { number(sector) };
        assert_eq!(content[at], expected, "sector {sector}");
    }
    assert_eq!(requester.request(11, 0, &range(0, 8, 0), 512).0, OK);
    assert_eq!(
        requester.request(11, 0, &range(0, 8, 1), 512).0,
        UNSUPPORTED
    );
    assert_eq!(requester.request(11, 0, &range(60, 8, 0), 512).0, FAILED);
    assert_eq!(
        requester.request(11, 0, &range(u64::MAX, 8, 0), 512).0,
        FAILED
    );
    assert_eq!(requester.request(13, 0, &[0; 15], 512).0, FAILED);
}

#[test]
fn the_disk_says_its_name_and_size() {
    let (_file, block) = disk(DiskAccess::ReadWrite);
    let mut requester = Requester::new(block, 0);
    let (status, name) = requester.request(8, 0, &[0; 20], 512);
    assert_eq!((status, &name[..13]), (OK, &b"isobench-disk"[..]));
    let driver = &requester.driver;
    assert_eq!(u64::from(driver.read(0x100)), SECTORS);
    assert_eq!(driver.used(), (1, 0, 21));
}

#[test]
fn features_that_were_not_offered_are_not_accepted() {
    let (_file, block) = disk(DiskAccess::ReadWrite);
    let mut driver = Driver::new(Box::new(block), 0, 16);
    for (offset, value) in [
        (0x70, 0),
        (0x70, 3),
        (0x24, 0),
        (0x20, 1 << 31),
        (0x24, 1),
        (0x20, 1),
        (0x70, 11),
    ] {
        driver.write(offset, value).unwrap();
    }
    assert_eq!(driver.read(0x70), 3);
    // A driver that has not chosen its features can set up no queue.
    driver.write(0x44, 1).unwrap();
    assert_eq!(driver.read(0x44), 0);
}
