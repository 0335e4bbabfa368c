//! A container's own directory on the scratch disk, which is removed with the container.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The number of the next container of this process, so that names differ.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// The directory. Dropping it removes the directory.
#[derive(Debug)]
pub struct ScratchDirectory {
    path: PathBuf,
}

impl ScratchDirectory {
    /// Makes a directory in `parent` that belongs to the container's root, who has these ids on
    /// the host.
    pub fn create(parent: &Path, (uid, gid): (u32, u32)) -> io::Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("isobench-{}-{number}", std::process::id());
        let path = parent.join(name);
        fs::create_dir(&path)?;
        let directory = Self { path };
        chown(&directory.path, Some(uid), Some(gid))?;
        Ok(directory)
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ScratchDirectory {
    fn drop(&mut self) {
        // Overlayfs makes `work` without any permission. An ordinary user must change that before
        // the directory can be removed.
        let work = self.path.join("w/work");
        let _ = fs::set_permissions(&work, Permissions::from_mode(0o700));
        // Nothing can be done about a failure. The directory's name says whose it was.
        let _ = fs::remove_dir_all(&self.path);
    }
}
