//! What a run puts on the host, and how it is removed again.
//!
//! Everything carries a name that no other run has ([`SessionName`]): a scratch directory, and
//! cgroups. A run removes its own things at the end. The next run removes what a killed run left:
//! a run holds a lock on each of its directories ([`Claim`]), and the kernel ends the locks of a
//! killed process. Where a lock can't be looked at, everything is left alone.

mod claim;
mod name;

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::sys::statfs::{
    FUSE_SUPER_MAGIC, FsType, NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, TMPFS_MAGIC, statfs,
};

pub use claim::Claim;
pub use name::SessionName;

/// A scratch directory could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No directory on a disk is writable.
    #[error(
        "no writable directory on a disk among {tried}; set TMPDIR to a directory that isn't on a \
         tmpfs"
    )]
    NoDirectory {
        /// The directories that were tried.
        tried: String,
    },
    /// The kernel doesn't describe this process.
    #[error("cannot read /proc/self/stat; is /proc mounted?")]
    Proc(#[from] procfs::ProcError),
}

/// How many names a run tries in one place. Another run that clears up can take the directory
/// between its making and its claim, but hardly twice.
const TRIES: u32 = 10;

/// The scratch directory of one run, removed when dropped.
#[derive(Debug)]
pub struct Session {
    name: SessionName,
    scratch: PathBuf,
    // Released after the directory's removal.
    _claim: Claim,
}

impl Session {
    /// Removes what killed runs left in the usual places, and makes a scratch directory on a disk.
    /// It is made in `TMPDIR`, `/var/tmp` or the current directory: the first of them that isn't in
    /// memory.
    ///
    /// # Errors
    /// [`SessionError`]
    pub fn open() -> Result<Self, SessionError> {
        let bases = [
            std::env::temp_dir(),
            PathBuf::from("/var/tmp"),
            std::env::current_dir().unwrap_or_default(),
        ];
        for base in &bases {
            remove_stale(base);
        }
        for base in bases.iter().filter(|base| is_on_disk(base)) {
            if let Some(session) = Self::open_in(base)? {
                return Ok(session);
            }
        }
        Err(SessionError::NoDirectory {
            tried: bases.map(|base| base.display().to_string()).join(", "),
        })
    }

    /// Makes a scratch directory in `base`; `None` if that isn't possible.
    fn open_in(base: &Path) -> Result<Option<Self>, SessionError> {
        for _ in 0..TRIES {
            let name = SessionName::new()?;
            let path = base.join(name.to_string());
            if make_scratch(&path).is_none() {
                return Ok(None);
            }
            let Ok(Some(claim)) = Claim::take(&path) else {
                let _ = fs::remove_dir(&path);
                continue;
            };
            let scratch = path.canonicalize().unwrap_or(path);
            return Ok(Some(Self {
                name,
                scratch,
                _claim: claim,
            }));
        }
        Ok(None)
    }

    /// The name that everything that this run makes carries.
    pub fn name(&self) -> &SessionName {
        &self.name
    }

    /// The directory for the run's files. It is on a disk, never in memory.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The next run removes what can't be removed now.
        remove_all(&self.scratch);
    }
}

/// Makes the directory `path`. Other users may pass through the directory but not list it: a
/// container's root is another user on the host, who must reach the container's files.
fn make_scratch(path: &Path) -> Option<()> {
    fs::DirBuilder::new().mode(0o711).create(path).ok()?;
    // The user's umask may have taken permissions away.
    fs::set_permissions(path, fs::Permissions::from_mode(0o711)).ok()
}

fn is_on_disk(directory: &Path) -> bool {
    // From linux/magic.h. nix has no name for this number.
    const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);
    statfs(directory).is_ok_and(|fs| ![TMPFS_MAGIC, RAMFS_MAGIC].contains(&fs.filesystem_type()))
}

/// Removes what killed runs left in `base`.
fn remove_stale(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else {
        return;
    };
    let locks_are_seen = !is_shared_between_machines(base);
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(session) = name.to_str().and_then(SessionName::parse) else {
            continue;
        };
        if locks_are_seen || session.is_of_this_world() {
            // What another user's run left can't be removed, and stays for that user's next run.
            if let Ok(Some(_claim)) = Claim::take(&entry.path()) {
                remove_all(&entry.path());
            }
        }
    }
}

/// Whether other machines, or virtual machines, may have `directory` mounted too. Some of these
/// file systems keep locks on each machine alone.
fn is_shared_between_machines(directory: &Path) -> bool {
    // From linux/magic.h. nix has no names for these numbers. The third is SMB2's.
    const OTHERS: [FsType; 4] = [
        FsType(0x0102_1997),
        FsType(0xff53_4d42),
        FsType(0xfe53_4d42),
        FsType(0x00c3_6400),
    ];
    let named = [FUSE_SUPER_MAGIC, NFS_SUPER_MAGIC, SMB_SUPER_MAGIC];
    statfs(directory).is_ok_and(|fs| {
        let kind = fs.filesystem_type();
        named.contains(&kind) || OTHERS.contains(&kind)
    })
}

/// Removes a directory and its content, as far as this user may.
fn remove_all(directory: &Path) {
    if fs::remove_dir_all(directory).is_err() {
        // A killed container leaves overlayfs's work directory, which not even its owner may list.
        make_listable(directory);
        let _ = fs::remove_dir_all(directory);
    }
}

/// Lets the owner list `directory` and all directories below.
fn make_listable(directory: &Path) {
    let _ = fs::set_permissions(directory, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        // A symbolic link to a directory is no directory here.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_listable(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_directory_that_nobody_has_claimed_is_removed() {
        let base = tempfile::tempdir().unwrap();
        let live = Session::open_in(base.path()).unwrap().unwrap();
        let dead = SessionName::new().unwrap().to_string();
        for name in [dead.as_str(), "isobench-results"] {
            fs::create_dir(base.path().join(name)).unwrap();
        }
        remove_stale(base.path());
        assert!(live.scratch().exists());
        assert!(base.path().join("isobench-results").exists());
        assert!(!base.path().join(dead).exists());
    }

    #[test]
    fn directories_that_can_t_be_listed_are_removed_and_links_are_not_followed() {
        let base = tempfile::tempdir().unwrap();
        let (scratch, other) = (base.path().join("scratch"), base.path().join("other"));
        let closed = scratch.join("written/w/work");
        fs::create_dir_all(closed.join("inside")).unwrap();
        fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink(&other, scratch.join("written/link")).unwrap();
        for directory in [&closed, &other] {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o0)).unwrap();
        }
        make_listable(&scratch);
        remove_all(&scratch);
        assert!(!scratch.exists());
        assert_eq!(
            fs::metadata(&other).unwrap().permissions().mode() & 0o777,
            0
        );
    }

    #[test]
    fn no_scratch_directory_is_made_through_a_link() {
        let base = tempfile::tempdir().unwrap();
        let (place, elsewhere) = (base.path().join("place"), base.path().join("elsewhere"));
        fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &place).unwrap();
        assert_eq!(make_scratch(&place), None);
        assert_eq!(make_scratch(&elsewhere), None);
        assert!(fs::read_dir(&elsewhere).unwrap().next().is_none());
    }

    #[test]
    fn a_dropped_session_removes_its_directory() {
        let session = Session::open().unwrap();
        let scratch = session.scratch().to_owned();
        fs::write(scratch.join("file"), "x").unwrap();
        drop(session);
        assert!(!scratch.exists());
    }
}
