//! The block device `/dev/vda`: a file or block device of the host, of fixed size.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Why a disk can't be given to a guest.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The host refused to open it.
    #[error("cannot open disk {}", path.display())]
    Open {
        /// The disk's path on the host.
        path: PathBuf,
        /// What the host answered.
        source: io::Error,
    },
}

/// A disk that this process alone may write.
#[derive(Debug)]
pub struct BlockDevice {
    buffered: fs::File,
}

impl BlockDevice {
    /// Opens and locks the disk at `path`.
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        let open = fs::OpenOptions::new().read(true).write(true).open(path);
        match open {
            Ok(buffered) => Ok(Self { buffered }),
            Err(source) => Err(DiskError::Open { path: path.to_owned(), source }),
        }
    }
}
