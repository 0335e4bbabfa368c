//! A cgroup for each instance, so that its memory is accounted and nothing of it can stay behind.
//!
//! The harness enters an instance's group itself, outside the timed path, and the launcher inherits it: writing to
//! `cgroup.procs` can wait for an RCU grace period of many milliseconds. What a launcher limits is a group of its own
//! inside, which it makes and joins as a phase of its start. Layout, the same in cgroups v1 and v2:
//!
//! ```text
//! BASE/isobench-PID-STARTTIME/     one a run; a later run removes a dead one's
//!     INSTANCE/                    accounting is read here, for all that is below
//!         launcher/                entered by the harness, inherited by the launcher
//!         limits/                  made by the launcher, for the program
//! ```
//!
//! One cgroup directory is [`Cgroup`](isobench_container::cgroup::Cgroup), which the container's launcher uses too.

mod group;
mod hierarchy;
mod memory;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytesize::ByteSize;
pub use group::Group;
pub use hierarchy::Hierarchies;
use isobench_container::cgroup::CgroupError;
pub use memory::MemoryCharge;

use crate::session::SessionName;

/// cgroups can't be used, or one could not be.
#[derive(Debug, thiserror::Error)]
pub enum AccountingError {
    /// The kernel doesn't tell about its cgroups.
    #[error("cannot read this process's cgroups and mounts")]
    Proc(#[from] procfs::ProcError),
    /// No hierarchy with the memory controller is mounted.
    #[error("no cgroup hierarchy with the memory controller is mounted")]
    NoController,
    /// A file or directory of a cgroup could not be used.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A cgroup file holds something unexpected.
    #[error("{} has no number named `{field}`", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The number looked for.
        field: &'static str,
    },
    /// The memory controller's figures stay apart.
    #[error("the kernel's memory statistics add up to {parts}, its counter says {usage}")]
    Unsettled {
        /// The usage counter.
        usage: ByteSize,
        /// The sum of the parts.
        parts: ByteSize,
    },
    /// A cgroup refused.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// Processes of an instance stayed after its launcher had ended.
    #[error("{count} processes were still running after the command had ended; they were killed")]
    LeftBehind {
        /// How many.
        count: usize,
    },
}

/// Numbers the groups of all runs of this process.
static NEXT_GROUP: AtomicU64 = AtomicU64::new(0);

/// Where the groups of one run are made.
#[derive(Debug)]
pub struct Accounting {
    hierarchies: Hierarchies,
    name: String,
}

impl Accounting {
    /// Removes what dead runs left, and makes a directory for this run in each hierarchy.
    ///
    /// # Errors
    /// [`AccountingError`], when this host's cgroups can't be used by this user.
    pub fn open(session: &SessionName) -> Result<Self, AccountingError> {
        let hierarchies = Hierarchies::find()?;
        let accounting = Self {
            hierarchies,
            name: session.to_string(),
        };
        for base in accounting.hierarchies.bases() {
            remove_stale(base);
            create(&base.join(&accounting.name))?;
        }
        accounting.hierarchies.delegate(&accounting.name)?;
        Ok(accounting)
    }

    /// A fresh group for one instance.
    ///
    /// # Errors
    /// [`AccountingError`]
    pub fn group(&self) -> Result<Group, AccountingError> {
        let name = format!(
            "{}/{}",
            self.name,
            NEXT_GROUP.fetch_add(1, Ordering::Relaxed)
        );
        Group::create(&self.hierarchies, &name)
    }
}

impl Drop for Accounting {
    fn drop(&mut self) {
        for base in self.hierarchies.bases() {
            // Another run of the same process may still use it; the last one takes it away.
            let _ = fs::remove_dir(base.join(&self.name));
        }
    }
}

/// Makes a cgroup; one that is there already is as good.
fn create(path: &Path) -> Result<(), AccountingError> {
    match fs::create_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(AccountingError::File {
            action: "create the cgroup",
            path: path.to_owned(),
            source: e,
        }),
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Result<String, AccountingError> {
    fs::read_to_string(path).map_err(|source| AccountingError::File {
        action: "read",
        path: path.to_owned(),
        source,
    })
}

fn write(path: PathBuf, text: &str) -> Result<(), AccountingError> {
    fs::write(&path, text).map_err(|source| AccountingError::File {
        action: "write to",
        path,
        source,
    })
}

/// Kills and removes the groups of runs whose process is no more.
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
            group::kill_and_remove(&entry.path());
        }
    }
}
