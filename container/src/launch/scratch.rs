//! A container's own directory on the scratch disk, gone when the container is.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Makes names of one process's containers differ.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// The directory; dropping it removes it.
#[derive(Debug)]
pub struct ScratchDirectory {
    path: PathBuf,
}

impl ScratchDirectory {
    /// Makes a directory below `parent` that belongs to the container's root.
    pub fn create(parent: &Path, (uid, gid): (u32, u32)) -> io::Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("isobench-{}-{number}", std::process::id());
        let path = parent.join(name);
        fs::create_dir(&path)?;
        let directory = Self { path };
        chown(&directory.path, Some(uid), Some(gid))?;
        Ok(directory)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ScratchDirectory {
    fn drop(&mut self) {
        // Overlayfs makes `work` with no permission at all, which an ordinary user must change to remove it.
        let work = self.path.join("w/work");
        let _ = fs::set_permissions(&work, Permissions::from_mode(0o700));
        // Nothing to be done about a failure; the directory's name says whose it was.
        let _ = fs::remove_dir_all(&self.path);
    }
}
