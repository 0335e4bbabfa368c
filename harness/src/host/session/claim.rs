//! Who uses a directory of a run: whoever holds its lock.
//!
//! A lock of `flock(2)` belongs to the directory itself. So it is seen from every PID namespace,
//! mount namespace and container in which the directory is seen, and it ends with its process. That
//! holds for directories of cgroups too.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// The lock of a directory. No other process holds it as long as this value lives.
#[derive(Debug)]
pub struct Claim {
    _directory: File,
}

impl Claim {
    /// Takes the lock of `path`, a directory; `None` if another process holds it.
    ///
    /// # Errors
    /// `path` is no directory of this name any more, this user may not read it, or its file system
    /// has no locks.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        let directory = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
            .open(path)?;
        match directory.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => {}
        }
        // Whoever held the lock until now may have removed the directory.
        let identity = |found: &fs::Metadata| (found.dev(), found.ino());
        if identity(&directory.metadata()?) != identity(&fs::symlink_metadata(path)?) {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        Ok(Some(Self {
            _directory: directory,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_claimed_once_and_free_again_after_the_claim() {
        let base = tempfile::tempdir().unwrap();
        let claim = Claim::take(base.path()).unwrap();
        assert!(claim.is_some());
        assert!(Claim::take(base.path()).unwrap().is_none());
        drop(claim);
        assert!(Claim::take(base.path()).unwrap().is_some());
    }

    #[test]
    fn only_a_directory_can_be_claimed() {
        let base = tempfile::tempdir().unwrap();
        let (file, link) = (base.path().join("file"), base.path().join("link"));
        fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(base.path(), &link).unwrap();
        for path in [file, link, base.path().join("none")] {
            assert!(Claim::take(&path).is_err(), "{}", path.display());
        }
    }
}
