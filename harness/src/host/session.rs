//! What a run puts on the host, and how it is removed again.
//!
//! Everything carries the name of the process that made it, `isobench-PID-STARTTIME`: a scratch
//! directory, and a cgroup of the same name. A run removes its own things at the end. The next run
//! removes what a killed run left: the name tells that its process no longer runs.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};
use nix::unistd::geteuid;
use procfs::process::Process;

const PREFIX: &str = "isobench-";

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

/// The name of everything that one process puts on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionName {
    pid: i32,
    start_time: u64,
}

impl SessionName {
    fn own() -> Result<Self, SessionError> {
        let stat = Process::myself()?.stat()?;
        Ok(Self {
            pid: stat.pid,
            start_time: stat.starttime,
        })
    }

    /// Parses a name as this module writes it. Any other name isn't isobench's.
    pub fn parse(name: &str) -> Option<Self> {
        let (pid, start_time) = name.strip_prefix(PREFIX)?.split_once('-')?;
        Some(Self {
            pid: pid.parse().ok()?,
            start_time: start_time.parse().ok()?,
        })
    }

    /// Whether the process still runs. A later process with the same id doesn't count.
    pub fn is_alive(&self) -> bool {
        Process::new(self.pid)
            .and_then(|process| process.stat())
            .is_ok_and(|stat| stat.starttime == self.start_time && stat.state != 'Z')
    }
}

impl std::fmt::Display for SessionName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{PREFIX}{}-{}", self.pid, self.start_time)
    }
}

/// The scratch directory of one run, removed when dropped.
#[derive(Debug)]
pub struct Session {
    name: SessionName,
    scratch: PathBuf,
}

impl Session {
    /// Removes what killed runs left in the usual places, and makes a scratch directory on a disk.
    /// It is made in `TMPDIR`, `/var/tmp` or the current directory: the first of them that isn't in
    /// memory.
    ///
    /// # Errors
    /// [`SessionError`]
    pub fn open() -> Result<Self, SessionError> {
        let name = SessionName::own()?;
        let bases = [
            std::env::temp_dir(),
            PathBuf::from("/var/tmp"),
            std::env::current_dir().unwrap_or_default(),
        ];
        for base in &bases {
            remove_stale(base);
        }
        for base in bases.iter().filter(|base| is_on_disk(base)) {
            if let Some(scratch) = make_scratch(&base.join(name.to_string())) {
                return Ok(Self { name, scratch });
            }
        }
        Err(SessionError::NoDirectory {
            tried: bases.map(|base| base.display().to_string()).join(", "),
        })
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
        if let Some(named) = self.scratch.parent() {
            let _ = fs::remove_dir(named);
        }
    }
}

/// Makes the directory `path`, and a numbered directory inside. Other users may pass through both
/// but not list them: a container's root is another user on the host, who must reach the
/// container's files.
fn make_scratch(path: &Path) -> Option<PathBuf> {
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o711);
    // Tests and benches open several sessions in one process, each with its own number.
    for suffix in 0..1000 {
        match builder.create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return None,
            // In a directory that all may write to, another user may have made `path` first.
            _ if !is_own_directory(path) => return None,
            // The user's umask may have taken permissions away.
            _ => fs::set_permissions(path, fs::Permissions::from_mode(0o711)).ok()?,
        }
        let path = path.join(suffix.to_string());
        match builder.create(&path) {
            Ok(()) => {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o711)).ok()?;
                return path.canonicalize().ok();
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(_) => return None,
        }
    }
    None
}

fn is_own_directory(path: &Path) -> bool {
    // A symbolic link to a directory is no directory here.
    fs::symlink_metadata(path)
        .is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw())
}

fn is_on_disk(directory: &Path) -> bool {
    // From linux/magic.h. nix has no name for this number.
    const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);
    statfs(directory).is_ok_and(|fs| ![TMPFS_MAGIC, RAMFS_MAGIC].contains(&fs.filesystem_type()))
}

fn remove_stale(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let stale = name
            .to_str()
            .and_then(SessionName::parse)
            .is_some_and(|session| !session.is_alive());
        if stale {
            // What another user's run left can't be removed, and stays for that user's next run.
            remove_all(&entry.path());
        }
    }
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
    fn own_names_are_parsed_and_foreign_names_are_not() {
        let own = SessionName::own().unwrap();
        assert_eq!(SessionName::parse(&own.to_string()), Some(own.clone()));
        assert!(own.is_alive());
        let dead = SessionName {
            start_time: own.start_time + 1,
            ..own
        };
        assert!(!dead.is_alive());
        for stranger in [
            "isobench",
            "isobench-",
            "isobench-12",
            "isobench-x-1",
            "isobench-1-2x",
            "other-1-2",
        ] {
            assert_eq!(SessionName::parse(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn only_the_directory_of_a_dead_run_is_removed() {
        let base = tempfile::tempdir().unwrap();
        let own = SessionName::own().unwrap();
        let dead = SessionName {
            start_time: own.start_time + 1,
            ..own.clone()
        };
        for name in [
            own.to_string(),
            dead.to_string(),
            "isobench-results".to_owned(),
        ] {
            fs::create_dir(base.path().join(name)).unwrap();
        }
        remove_stale(base.path());
        assert!(base.path().join(own.to_string()).exists());
        assert!(base.path().join("isobench-results").exists());
        assert!(!base.path().join(dead.to_string()).exists());
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
        assert!(fs::read_dir(&elsewhere).unwrap().next().is_none());
        let first = make_scratch(&elsewhere).unwrap();
        let second = make_scratch(&elsewhere).unwrap();
        assert!(first.ends_with("elsewhere/0") && second.ends_with("elsewhere/1"));
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
