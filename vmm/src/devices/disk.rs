//! A disk for a guest: a regular file or block device of the host, of fixed size.
//!
//! Two host descriptors lead to the same disk, and one of them was opened with `O_DIRECT`. The
//! guest chooses whether an access goes through the host's page cache, and the host judges the
//! alignment.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::FallocateFlags;
use nix::libc;

use super::host_io::{self, GuestSlices};

/// Bytes in a sector. A disk has a whole number of sectors.
pub const SECTOR: u64 = 512;

/// What a guest may do with a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskAccess {
    /// The guest may read and write.
    ReadWrite,
    /// The guest may only read.
    ReadOnly,
}

/// Why a disk can't be given to a guest.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The host refused to open the disk.
    #[error("opening disk {} for {}", path.display(), purpose(*access))]
    Open {
        /// What the guest would have been allowed to do.
        access: DiskAccess,
        /// The disk's path on the host.
        path: PathBuf,
        /// The host's answer.
        source: io::Error,
    },
    /// The path leads to a directory, pipe, socket or character device.
    #[error("disk {} is neither a regular file nor a block device", path.display())]
    Kind {
        /// The disk's path on the host.
        path: PathBuf,
    },
    /// Another VM has locked the disk.
    #[error("disk {} is in use by another VM: give each VM a disk of its own", path.display())]
    Busy {
        /// The disk's path on the host.
        path: PathBuf,
    },
    /// The host can't lock the disk.
    #[error("locking disk {}", path.display())]
    Lock {
        /// The disk's path on the host.
        path: PathBuf,
        /// The host's answer.
        source: io::Error,
    },
    /// The host can't bypass its page cache.
    #[error("disk {} is on a file system without O_DIRECT: leave it to the host's page cache, or move it", path.display())]
    NoDirect {
        /// The disk's path on the host.
        path: PathBuf,
    },
    /// The disk has less than one sector.
    #[error("disk {} has {size} bytes, less than one sector of {SECTOR}: enlarge it with truncate(1)", path.display())]
    TooSmall {
        /// The disk's path on the host.
        path: PathBuf,
        /// The disk's size in bytes.
        size: u64,
    },
}

fn purpose(access: DiskAccess) -> &'static str {
    match access {
        DiskAccess::ReadOnly => "reading",
        DiskAccess::ReadWrite => "reading and writing (is it one that may only be read?)",
    }
}

/// Whether an access goes through the host's page cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostCache {
    /// The access goes through the page cache.
    Used,
    /// The access bypasses the page cache (`O_DIRECT`).
    Bypassed,
}

/// When a write has to be on the disk's medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Some time later, or at the next flush.
    Deferred,
    /// When the write returns (`O_DSYNC`). `O_SYNC` needs no more, since a disk has no metadata.
    Immediate,
}

/// How an access to the disk is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessMode {
    /// Whether the access goes through the host's page cache.
    pub cache: HostCache,
    /// When a write has to be durable.
    pub durability: Durability,
}

/// What a flush makes durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// The data (`fdatasync`).
    Data,
    /// The data and the host file's metadata (`fsync`).
    All,
}

/// How zeros are put onto a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zeros {
    /// The host may give the space back: the zeros are a hole.
    Hole,
    /// The host keeps the space.
    Allocated,
}

/// A disk of the host that this VM alone may write.
#[derive(Debug)]
pub struct HostDisk {
    buffered: File,
    /// `None` if the host's file system has no `O_DIRECT`.
    direct: Option<File>,
    size: u64,
    access: DiskAccess,
}

impl HostDisk {
    /// Opens and locks the disk at `path`. The lock ends with the process.
    ///
    /// # Errors
    /// The path can't be opened or leads to no disk, another VM has the disk, or the disk is empty.
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        Self::open_for(path, DiskAccess::ReadWrite)
    }

    /// Opens a disk for reading alone. Other VMs may read the disk at the same time, but none may
    /// write to it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_read_only(path: &Path) -> Result<Self, DiskError> {
        Self::open_for(path, DiskAccess::ReadOnly)
    }

    fn open_for(path: &Path, access: DiskAccess) -> Result<Self, DiskError> {
        let failed = |source| DiskError::Open {
            access,
            path: path.to_owned(),
            source,
        };
        let mut buffered = open_with(path, 0, access).map_err(failed)?;
        let metadata = buffered.metadata().map_err(failed)?;
        if !metadata.is_file() && !metadata.file_type().is_block_device() {
            return Err(DiskError::Kind {
                path: path.to_owned(),
            });
        }
        lock(&buffered, path, access)?;
        // The metadata of a block device has no size, so the size is where the end is.
        let size = buffered.seek(SeekFrom::End(0)).map_err(failed)?;
        if size < SECTOR {
            return Err(DiskError::TooSmall {
                path: path.to_owned(),
                size,
            });
        }
        let is_same = |other: &File| {
            other
                .metadata()
                .is_ok_and(|other| (other.dev(), other.ino()) == (metadata.dev(), metadata.ino()))
        };
        let direct = open_with(path, libc::O_DIRECT, access).ok().filter(is_same);
        Ok(Self {
            buffered,
            direct,
            size: size - size % SECTOR,
            access,
        })
    }

    /// The disk's size in bytes, a whole number of sectors.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether the guest may only read the disk.
    pub fn is_read_only(&self) -> bool {
        self.access == DiskAccess::ReadOnly
    }

    /// Whether the host can bypass its page cache.
    pub fn supports_direct(&self) -> bool {
        self.direct.is_some()
    }

    /// The descriptor that bypasses the host's page cache, if there is one.
    pub fn direct(&self) -> Option<BorrowedFd<'_>> {
        self.direct.as_ref().map(File::as_fd)
    }

    /// Reads from `offset` on. The caller keeps within [`Self::size`].
    ///
    /// # Errors
    /// The error of the host's `preadv`: `EINVAL` for a misaligned direct access.
    pub fn read(
        &self,
        into: &mut GuestSlices<'_>,
        offset: u64,
        cache: HostCache,
    ) -> Result<usize, Errno> {
        host_io::read_at(self.descriptor(cache)?, into, offset)
    }

    /// Writes from `offset` on. The caller keeps within [`Self::size`], so that the file never
    /// grows.
    ///
    /// # Errors
    /// The error of the host's `pwritev2`: `EINVAL` for a misaligned direct access.
    pub fn write(
        &self,
        from: &mut GuestSlices<'_>,
        offset: u64,
        mode: AccessMode,
    ) -> Result<usize, Errno> {
        let flags = match mode.durability {
            Durability::Deferred => 0,
            Durability::Immediate => libc::RWF_DSYNC,
        };
        host_io::write_at(self.descriptor(mode.cache)?, from, offset, flags)
    }

    /// Makes everything that was written durable.
    ///
    /// # Errors
    /// The host's error.
    pub fn flush(&self, flush: Flush) -> Result<(), Errno> {
        match flush {
            Flush::Data => nix::unistd::fdatasync(&self.buffered),
            Flush::All => nix::unistd::fsync(&self.buffered),
        }
    }

    /// Gives the host's space for `offset..offset + length` back. A discard is a hint, so a host
    /// that can't give space back keeps it.
    ///
    /// # Errors
    /// The error of the host's `fallocate`.
    pub fn discard(&self, offset: u64, length: u64) -> Result<(), Errno> {
        match self.allocate(FallocateFlags::FALLOC_FL_PUNCH_HOLE, offset, length) {
            Err(Errno::EOPNOTSUPP) => Ok(()),
            result => result,
        }
    }

    /// Makes `offset..offset + length` zero.
    ///
    /// # Errors
    /// The host's error.
    pub fn write_zeros(&self, offset: u64, length: u64, zeros: Zeros) -> Result<(), Errno> {
        let flag = match zeros {
            Zeros::Hole => FallocateFlags::FALLOC_FL_PUNCH_HOLE,
            Zeros::Allocated => FallocateFlags::FALLOC_FL_ZERO_RANGE,
        };
        match self.allocate(flag, offset, length) {
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

    /// Calls fallocate(2) with `flag`, such that the file keeps its size.
    fn allocate(&self, flag: FallocateFlags, offset: u64, length: u64) -> Result<(), Errno> {
        let signed = |value| libc::off_t::try_from(value).map_err(|_| Errno::EINVAL);
        if length == 0 {
            return Ok(());
        }
        let flags = flag | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        nix::fcntl::fallocate(&self.buffered, flags, signed(offset)?, signed(length)?)
    }

    fn descriptor(&self, cache: HostCache) -> Result<BorrowedFd<'_>, Errno> {
        match cache {
            HostCache::Used => Ok(self.buffered.as_fd()),
            HostCache::Bypassed => self.direct().ok_or(Errno::EINVAL),
        }
    }
}

/// Locks a disk: against all other VMs, or, for a disk that may only be read, against those that
/// would write.
fn lock(disk: &File, path: &Path, access: DiskAccess) -> Result<(), DiskError> {
    let locked = match access {
        DiskAccess::ReadOnly => disk.try_lock_shared(),
        DiskAccess::ReadWrite => disk.try_lock(),
    };
    let path = path.to_owned();
    match locked {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(DiskError::Busy { path }),
        Err(TryLockError::Error(source)) => Err(DiskError::Lock { path, source }),
    }
}

fn open_with(path: &Path, flags: libc::c_int, access: DiskAccess) -> io::Result<File> {
    // With O_NONBLOCK, the opening of a pipe does not wait. The caller refuses a pipe later, and
    // disks ignore the flag.
    OpenOptions::new()
        .read(true)
        .write(access == DiskAccess::ReadWrite)
        .custom_flags(flags | libc::O_NONBLOCK)
        .open(path)
}
