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
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("scratch-{}-{number}", std::process::id());
        let path = directory.join(name);
        match options.open(&path) {
            Ok(file) => return fs::remove_file(&path).map(|()| file),
            // A process of the same id in another PID namespace is about to remove its file.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_another_process_has_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let own = std::process::id();
        for number in 0..5 {
            File::create(directory.path().join(format!("scratch-{own}-{number}"))).unwrap();
        }
        scratch(directory.path()).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 5);
    }
}
