//! The disk that a store is on.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytesize::ByteSize;
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, statfs};
use nix::sys::statvfs::statvfs;

/// How much can be written to the disk of `directory`.
pub fn free(directory: &Path) -> io::Result<ByteSize> {
    let disk = statvfs(directory)?;
    Ok(ByteSize(disk.blocks_available() * disk.fragment_size()))
}

/// Whether `directory` is on overlayfs, as everything in a container is.
pub fn is_overlayfs(directory: &Path) -> bool {
    statfs(directory).is_ok_and(|disk| disk.filesystem_type() == OVERLAYFS_SUPER_MAGIC)
}

/// A new file on the disk of `directory`. It has no name, so it ends with its descriptor.
pub fn scratch(directory: &Path) -> io::Result<File> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("scratch-{}-{number}", std::process::id());
    let path = directory.join(name);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    let file = options.open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}
