//! What stat(2) and statx(2) tell of a file, in the kernel's structures.

use nix::libc;

use super::guest::put;
use super::scratch::{Moment, Times};

/// The number of the device with the tree's files. The value has no meaning.
const TREE_DEVICE: (u32, u32) = (0, 1);
/// The preferred size of an access, in bytes.
const BLOCK_SIZE: u32 = 4096;

/// What `stat` and `statx` report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attributes {
    pub inode: u64,
    pub device: (u32, u32),
    /// The device number of a device file.
    pub special: (u32, u32),
    /// The file's type and its permissions.
    pub mode: u32,
    pub links: u32,
    pub size: u64,
    /// The space that the contents take, in bytes.
    pub taken: u64,
    /// The user and the group.
    pub owner: (u32, u32),
    pub times: Times,
}

impl Default for Attributes {
    /// Those of a file of root's on the tree's device.
    fn default() -> Self {
        Self {
            inode: 0,
            device: TREE_DEVICE,
            special: (0, 0),
            mode: 0,
            links: 1,
            size: 0,
            taken: 0,
            owner: (0, 0),
            times: Times::all(Moment::default()),
        }
    }
}

impl Attributes {
    /// `struct stat` (x86-64 `asm/stat.h`).
    pub fn stat(&self) -> [u8; 144] {
        let device = |(major, minor): (u32, u32)| libc::makedev(major, minor).to_le_bytes();
        let mut stat = [0; 144];
        put(&mut stat, 0, device(self.device));
        put(&mut stat, 8, self.inode.to_le_bytes());
        put(&mut stat, 16, u64::from(self.links).to_le_bytes());
        put(&mut stat, 24, self.mode.to_le_bytes());
        put(&mut stat, 28, self.owner.0.to_le_bytes());
        put(&mut stat, 32, self.owner.1.to_le_bytes());
        put(&mut stat, 40, device(self.special));
        put(&mut stat, 48, self.size.to_le_bytes());
        put(&mut stat, 56, u64::from(BLOCK_SIZE).to_le_bytes());
        put(&mut stat, 64, self.sectors().to_le_bytes());
        let Times {
            accessed,
            modified,
            changed,
        } = self.times;
        for (at, time) in [(72, accessed), (88, modified), (104, changed)] {
            put(&mut stat, at, time.seconds.to_le_bytes());
            put(&mut stat, at + 8, time.nanoseconds.to_le_bytes());
        }
        stat
    }

    /// `struct statx` (`linux/stat.h`).
    pub fn statx(&self) -> [u8; 256] {
        let mut statx = [0; 256];
        put(&mut statx, 0, libc::STATX_BASIC_STATS.to_le_bytes());
        put(&mut statx, 4, BLOCK_SIZE.to_le_bytes());
        put(&mut statx, 16, self.links.to_le_bytes());
        put(&mut statx, 20, self.owner.0.to_le_bytes());
        put(&mut statx, 24, self.owner.1.to_le_bytes());
        // The mode has 16 bits.
        let [low, high, ..] = self.mode.to_le_bytes();
        put(&mut statx, 28, [low, high]);
        put(&mut statx, 32, self.inode.to_le_bytes());
        put(&mut statx, 40, self.size.to_le_bytes());
        put(&mut statx, 48, self.sectors().to_le_bytes());
        let Times {
            accessed,
            modified,
            changed,
        } = self.times;
        for (at, time) in [(64, accessed), (96, changed), (112, modified)] {
            put(&mut statx, at, time.seconds.to_le_bytes());
            let nanoseconds = u32::try_from(time.nanoseconds).unwrap_or_default();
            put(&mut statx, at + 8, nanoseconds.to_le_bytes());
        }
        put(&mut statx, 128, self.special.0.to_le_bytes());
        put(&mut statx, 132, self.special.1.to_le_bytes());
        put(&mut statx, 136, self.device.0.to_le_bytes());
        put(&mut statx, 140, self.device.1.to_le_bytes());
        statx
    }

    /// The space on the device, in units of 512 bytes.
    fn sectors(&self) -> u64 {
        self.taken.div_ceil(512)
    }
}
