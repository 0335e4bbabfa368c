//! The block device `/dev/vda`: a regular file or block device of the host, of fixed size.
//!
//! Two host descriptors lead to the same disk, one of them opened with `O_DIRECT`: whether an access goes
//! through the host's page cache is the guest's choice, and its alignment is the host's to judge.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::FallocateFlags;
use nix::libc;

use super::host_io::{self, GuestSlices};

/// Bytes in a sector, of which a disk has a whole number.
pub const SECTOR: u64 = 512;

/// Why a disk can't be given to a guest.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The host refused to open it.
    #[error("opening disk {} for {}", path.display(), access(*read_only))]
    Open {
        /// Whether it was to be read only.
        read_only: bool,
        /// The disk's path on the host.
        path: PathBuf,
        /// What the host answered.
        source: io::Error,
    },
    /// A directory, pipe, socket or character device.
    #[error("disk {} is neither a regular file nor a block device", path.display())]
    Kind {
        /// The disk's path on the host.
        path: PathBuf,
    },
    /// Another VM has locked it.
    #[error("disk {} is in use by another VM: give each VM a disk of its own", path.display())]
    Busy {
        /// The disk's path on the host.
        path: PathBuf,
    },
    /// The host can't lock it.
    #[error("locking disk {}", path.display())]
    Lock {
        /// The disk's path on the host.
        path: PathBuf,
        /// What the host answered.
        source: io::Error,
    },
    /// The host can't go past its page cache.
    #[error("disk {} is on a file system without O_DIRECT: leave it to the host's page cache, or move it", path.display())]
    NoDirect {
        /// The disk's path on the host.
        path: PathBuf,
    },
    /// Less than one sector.
    #[error("disk {} has {size} bytes, less than one sector of {SECTOR}: enlarge it with truncate(1)", path.display())]
    TooSmall {
        /// The disk's path on the host.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
}

fn access(read_only: bool) -> &'static str {
    if read_only {
        "reading"
    } else {
        "reading and writing (is it one that may only be read?)"
    }
}

/// A disk that this VM alone may write.
#[derive(Debug)]
pub struct BlockDevice {
    buffered: File,
    /// None when the host's file system has no `O_DIRECT`.
    direct: Option<File>,
    size: u64,
    read_only: bool,
}

/// How an access to the disk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// Past the host's page cache (`O_DIRECT`).
    pub direct: bool,
    /// Durable when it returns (`O_DSYNC`; `O_SYNC` needs no more, since a disk has no metadata).
    pub durable: bool,
}

impl BlockDevice {
    /// Opens and locks the disk at `path`. The lock goes with the process.
    ///
    /// # Errors
    /// It can't be opened, is no disk, is another VM's, or is empty.
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        Self::open_for(path, false)
    }

    /// Opens a disk that may only be read. Others may read it at the same time, but none may write.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_read_only(path: &Path) -> Result<Self, DiskError> {
        Self::open_for(path, true)
    }

    fn open_for(path: &Path, read_only: bool) -> Result<Self, DiskError> {
        let failed = |source| DiskError::Open {
            read_only,
            path: path.to_owned(),
            source,
        };
        let mut buffered = open_with(path, 0, read_only).map_err(failed)?;
        let metadata = buffered.metadata().map_err(failed)?;
        if !metadata.is_file() && !metadata.file_type().is_block_device() {
            return Err(DiskError::Kind {
                path: path.to_owned(),
            });
        }
        lock(&buffered, path, read_only)?;
        // A block device's metadata has no size, its end has.
        let size = buffered.seek(SeekFrom::End(0)).map_err(failed)?;
        if size < SECTOR {
            return Err(DiskError::TooSmall {
                path: path.to_owned(),
                size,
            });
        }
        let same = |other: &File| {
            other
                .metadata()
                .is_ok_and(|other| (other.dev(), other.ino()) == (metadata.dev(), metadata.ino()))
        };
        let direct = open_with(path, libc::O_DIRECT, read_only).ok().filter(same);
        Ok(Self {
            buffered,
            direct,
            size: size - size % SECTOR,
            read_only,
        })
    }

    /// Its size in bytes, a whole number of sectors.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether it may only be read.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Whether the host can go past its page cache.
    pub fn supports_direct(&self) -> bool {
        self.direct.is_some()
    }

    /// What leads past the host's page cache, if it can.
    pub fn direct(&self) -> Option<BorrowedFd<'_>> {
        self.direct.as_ref().map(File::as_fd)
    }

    /// Reads from `offset` on; the caller keeps within [`Self::size`].
    ///
    /// # Errors
    /// What the host's `preadv` says: `EINVAL` for a misaligned direct access.
    pub fn read(
        &self,
        into: &mut GuestSlices<'_>,
        offset: u64,
        mode: Mode,
    ) -> Result<usize, Errno> {
        host_io::read_at(self.descriptor(mode)?, into, offset)
    }

    /// Writes from `offset` on; the caller keeps within [`Self::size`], so that the file never grows.
    ///
    /// # Errors
    /// What the host's `pwritev2` says: `EINVAL` for a misaligned direct access.
    pub fn write(
        &self,
        from: &mut GuestSlices<'_>,
        offset: u64,
        mode: Mode,
    ) -> Result<usize, Errno> {
        let flags = if mode.durable { libc::RWF_DSYNC } else { 0 };
        host_io::write_at(self.descriptor(mode)?, from, offset, flags)
    }

    /// Makes everything written durable: `fdatasync` if `only_data`, else `fsync`.
    ///
    /// # Errors
    /// What the host says.
    pub fn flush(&self, only_data: bool) -> Result<(), Errno> {
        if only_data {
            nix::unistd::fdatasync(&self.buffered)
        } else {
            nix::unistd::fsync(&self.buffered)
        }
    }

    /// Gives the host's space behind `offset..offset + length` back. A host that can't keeps it: a discard is a hint.
    ///
    /// # Errors
    /// What the host's `fallocate` says.
    pub fn discard(&self, offset: u64, length: u64) -> Result<(), Errno> {
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        match self.allocate(hole, offset, length) {
            Err(Errno::EOPNOTSUPP) => Ok(()),
            result => result,
        }
    }

    /// Makes `offset..offset + length` zero; as a hole, if it may be one.
    ///
    /// # Errors
    /// What the host says.
    pub fn write_zeros(&self, offset: u64, length: u64, hole: bool) -> Result<(), Errno> {
        let way = if hole {
            FallocateFlags::FALLOC_FL_PUNCH_HOLE
        } else {
            FallocateFlags::FALLOC_FL_ZERO_RANGE
        };
        match self.allocate(way | FallocateFlags::FALLOC_FL_KEEP_SIZE, offset, length) {
            Err(Errno::EOPNOTSUPP) => self.write_zeros_slowly(offset, length),
            result => result,
        }
    }

    fn write_zeros_slowly(&self, offset: u64, length: u64) -> Result<(), Errno> {
        const ZEROS: [u8; 4096] = [0; 4096];
        let mut done = 0;
        while done < length {
            let piece = (length - done).min(ZEROS.len() as u64);
            let zeros = &ZEROS[..usize::try_from(piece).map_err(|_| Errno::EINVAL)?];
            self.buffered
                .write_all_at(zeros, offset + done)
                .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
            done += piece;
        }
        Ok(())
    }

    fn allocate(&self, flags: FallocateFlags, offset: u64, length: u64) -> Result<(), Errno> {
        let range = |value| libc::off_t::try_from(value).map_err(|_| Errno::EINVAL);
        if length == 0 {
            return Ok(());
        }
        nix::fcntl::fallocate(&self.buffered, flags, range(offset)?, range(length)?)
    }

    fn descriptor(&self, mode: Mode) -> Result<BorrowedFd<'_>, Errno> {
        if mode.direct {
            self.direct().ok_or(Errno::EINVAL)
        } else {
            Ok(self.buffered.as_fd())
        }
    }
}

/// Locks a disk: for this VM alone, or against those that would write.
fn lock(disk: &File, path: &Path, read_only: bool) -> Result<(), DiskError> {
    let locked = if read_only {
        disk.try_lock_shared()
    } else {
        disk.try_lock()
    };
    let path = path.to_owned();
    match locked {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(DiskError::Busy { path }),
        Err(TryLockError::Error(source)) => Err(DiskError::Lock { path, source }),
    }
}

fn open_with(path: &Path, flags: libc::c_int, read_only: bool) -> io::Result<File> {
    // O_NONBLOCK: a pipe's opening must not wait (it is refused later), and disks don't know it.
    OpenOptions::new()
        .read(true)
        .write(!read_only)
        .custom_flags(flags | libc::O_NONBLOCK)
        .open(path)
}
