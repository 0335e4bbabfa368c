//! The block device `/dev/vda`: a regular file or block device of the host, of fixed size.
//!
//! Two host descriptors lead to the same disk, one of them opened with `O_DIRECT`: whether an access goes
//! through the host's page cache is the guest's choice, and its alignment is the host's to judge.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;

use super::host_io::{self, GuestSlices};

/// Bytes in a sector, of which a disk has a whole number.
pub const SECTOR: u64 = 512;

/// Why a disk can't be given to a guest.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The host refused to open it for reading and writing.
    #[error("opening disk {} for reading and writing", path.display())]
    Open {
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
    /// Less than one sector.
    #[error("disk {} has {size} bytes, less than one sector of {SECTOR}: enlarge it with truncate(1)", path.display())]
    TooSmall {
        /// The disk's path on the host.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
}

/// A disk that this VM alone may write.
#[derive(Debug)]
pub struct BlockDevice {
    buffered: File,
    /// None when the host's file system has no `O_DIRECT`.
    direct: Option<File>,
    size: u64,
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
        let failed = |source| DiskError::Open {
            path: path.to_owned(),
            source,
        };
        let mut buffered = open_with(path, 0).map_err(failed)?;
        let metadata = buffered.metadata().map_err(failed)?;
        if !metadata.is_file() && !metadata.file_type().is_block_device() {
            return Err(DiskError::Kind {
                path: path.to_owned(),
            });
        }
        match buffered.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DiskError::Busy {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => {
                return Err(DiskError::Lock {
                    path: path.to_owned(),
                    source,
                });
            }
        }
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
        let direct = open_with(path, libc::O_DIRECT).ok().filter(same);
        Ok(Self {
            buffered,
            direct,
            size: size - size % SECTOR,
        })
    }

    /// Its size in bytes, a whole number of sectors.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether the host can go past its page cache.
    pub fn supports_direct(&self) -> bool {
        self.direct.is_some()
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

    fn descriptor(&self, mode: Mode) -> Result<BorrowedFd<'_>, Errno> {
        if mode.direct {
            self.direct.as_ref().map(File::as_fd).ok_or(Errno::EINVAL)
        } else {
            Ok(self.buffered.as_fd())
        }
    }
}

fn open_with(path: &Path, flags: libc::c_int) -> io::Result<File> {
    // O_NONBLOCK: a pipe's opening must not wait (it is refused later), and disks don't know it.
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags | libc::O_NONBLOCK)
        .open(path)
}
