//! The read-only file tree: the program, the files given by `--file`, and a few devices.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Why a file can't be put into the guest's tree.
#[derive(Debug, thiserror::Error)]
pub enum FileTreeError {
    /// The host refused to open it.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file's path on the host.
        path: PathBuf,
        /// What the host answered.
        source: io::Error,
    },
}

/// The guest's whole file system.
#[derive(Debug)]
pub struct FileTree {}

impl FileTree {
    /// A tree with the devices and the program, which is at `path` and behind `/proc/self/exe`.
    pub fn new(path: &Path, program: File) -> Result<Self, FileTreeError> {
        let _ = (path, program);
        Ok(Self {})
    }

    /// Adds the host's file `host` as `guest`.
    pub fn add_file(&mut self, guest: &Path, host: &Path) -> Result<(), FileTreeError> {
        let _ = (guest, host);
        Ok(())
    }
}
