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
        let directory = Self {
            path: make_named(parent)?,
        };
        chown(&directory.path, Some(uid), Some(gid))?;
        Ok(directory)
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes a directory in `parent` whose name nobody has. A launcher in another PID namespace may have
/// the same process id.
fn make_named(parent: &Path) -> io::Result<PathBuf> {
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("isobench-{}-{number}", std::process::id());
        let path = parent.join(name);
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
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

#[cfg(test)]
mod tests {
    use nix::unistd::{getegid, geteuid};

    use super::*;

    #[test]
    fn a_name_that_another_launcher_has_is_not_taken() {
        let parent = tempfile::tempdir().unwrap();
        let number = NEXT.load(Ordering::Relaxed);
        let taken: Vec<_> = (number..number + 5)
            .map(|number| format!("isobench-{}-{number}", std::process::id()))
            .collect();
        for name in &taken {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        let own = (geteuid().as_raw(), getegid().as_raw());
        let directory = ScratchDirectory::create(parent.path(), own).unwrap();
        let name = directory.path().file_name().unwrap().to_owned();
        assert!(taken.iter().all(|taken| name != **taken), "{name:?}");
        drop(directory);
        assert!(!parent.path().join(name).exists());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), taken.len());
    }
}
