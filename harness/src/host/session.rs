//! What a run puts on the host, and how it is removed again.
//!
//! Everything carries a name that no other run has ([`SessionName`]): a scratch directory, and
//! cgroups. A run removes its own things at the end. The next run removes what a killed run left:
//! a run holds a lock on each of its directories ([`Claim`]), and the kernel ends the locks of a
//! killed process. Where a lock can't be looked at, everything is left alone.

mod claim;
mod name;
mod place;

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::sys::statfs::{FUSE_SUPER_MAGIC, FsType, NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, statfs};

use crate::streams::tell;

pub use claim::Claim;
pub use name::SessionName;
pub use place::{Medium, PlaceNeeds, Unfit, first_unusual};

/// A scratch directory could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No directory can hold the run's files.
    #[error("no directory can hold the run's files: {tried}; set TMPDIR to one that can")]
    NoDirectory {
        /// The directories that were tried, each with the reason against it.
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
    /// Removes what killed runs left in the usual places, and makes a scratch directory in `TMPDIR`,
    /// `/var/tmp` or the current directory: the first of them that meets `needs`. A disk comes
    /// before memory, unless the user has set `TMPDIR`. If `TMPDIR` is set and isn't taken, a line
    /// on standard error says why.
    ///
    /// # Errors
    /// [`SessionError`]
    pub fn open(needs: &PlaceNeeds) -> Result<Self, SessionError> {
        let name = SessionName::new()?;
        let mut bases = Base::all();
        for base in &bases {
            remove_stale(&base.directory);
        }
        bases.sort_by_key(Base::is_last_choice);
        let mut refusals = Vec::new();
        for base in bases {
            let checked = place::check(&base.directory, needs);
            match checked.and_then(|()| Self::open_in(&base.directory, &name)) {
                Ok(session) => return Ok(session.announced(&refusals)),
                Err(reason) => refusals.push((base, reason)),
            }
        }
        let tried = refusals
            .iter()
            .map(|(base, reason)| format!("{base}: {reason}"));
        Err(SessionError::NoDirectory {
            tried: tried.collect::<Vec<_>>().join("; "),
        })
    }

    /// Makes a scratch directory in `base`, called `name` or like a later name of this process.
    fn open_in(base: &Path, name: &SessionName) -> Result<Self, Unfit> {
        let mut name = name.clone();
        for _ in 0..TRIES {
            let path = base.join(name.to_string());
            make_scratch(&path)?;
            let claim = Claim::take(&path);
            if let Ok(Some(claim)) = claim {
                return Ok(Self {
                    name,
                    scratch: path.canonicalize()?,
                    _claim: claim,
                });
            }
            let _ = fs::remove_dir(&path);
            // Another run that clears up has the directory, or has removed it.
            if let Err(error) = claim
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error.into());
            }
            name = name.next();
        }
        Err(io::Error::other("other runs remove the run's directory").into())
    }

    /// The same session. If the directory that the user has chosen was refused, that is said.
    fn announced(self, refusals: &[(Base, Unfit)]) -> Self {
        if let Some((base, reason)) = refusals.iter().find(|(base, _)| base.is_chosen) {
            let place = self.scratch.parent().unwrap_or(&self.scratch).display();
            tell(format_args!(
                "isobench: {base} is not used: {reason}; the files of this run are in {place}"
            ));
        }
        self
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

/// A directory in which a run's files may be.
#[derive(Debug)]
struct Base {
    directory: PathBuf,
    /// Whether the user has chosen it, by `TMPDIR`.
    is_chosen: bool,
}

impl Base {
    /// The directories that are tried, in this order.
    fn all() -> Vec<Self> {
        let chosen = std::env::var_os("TMPDIR").filter(|value| !value.is_empty());
        let is_chosen = chosen.is_some();
        let first = chosen.map_or_else(|| "/tmp".into(), PathBuf::from);
        let others = [
            Some(PathBuf::from("/var/tmp")),
            std::env::current_dir().ok(),
        ];
        let mut bases = vec![Self {
            directory: first,
            is_chosen,
        }];
        bases.extend(others.into_iter().flatten().map(|directory| Self {
            directory,
            is_chosen: false,
        }));
        bases
    }

    /// Whether every disk is a better place.
    fn is_last_choice(&self) -> bool {
        !self.is_chosen && place::is_in_memory(&self.directory)
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lead = if self.is_chosen { "TMPDIR=" } else { "" };
        write!(f, "{lead}{}", self.directory.display())
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
fn make_scratch(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o711).create(path)?;
    // The user's umask may have taken permissions away.
    fs::set_permissions(path, fs::Permissions::from_mode(0o711))
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
        let live = Session::open_in(base.path(), &SessionName::new().unwrap()).unwrap();
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
        assert!(make_scratch(&place).is_err());
        assert!(make_scratch(&elsewhere).is_err());
        assert!(fs::read_dir(&elsewhere).unwrap().next().is_none());
    }

    #[test]
    fn a_dropped_session_removes_its_directory() {
        let session = Session::open(&PlaceNeeds::OF_PROGRAMS).unwrap();
        let scratch = session.scratch().to_owned();
        fs::write(scratch.join("file"), "x").unwrap();
        drop(session);
        assert!(!scratch.exists());
    }
}
