//! The group of one instance.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::hierarchy::enable_controllers;
use super::{AccountingError, Hierarchies, create, write};
use crate::marks::MonotonicTime;

/// How long processes may outlive their launcher before they are killed.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between two looks: v1 has no event for an empty group. Launchers that reap their program, all of isobench's
/// own, leave it empty at the first look.
const LOOK_INTERVAL: Duration = Duration::from_micros(100);

/// What the kernel charges to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryCharge {
    /// Anonymous pages.
    pub anon: ByteSize,
    /// Pages of files, tmpfs included.
    pub file: ByteSize,
    /// The kernel's own memory on behalf of the group.
    pub kernel: ByteSize,
}

/// A group; dropping it kills what is in it and removes it.
#[derive(Debug)]
pub struct Group {
    /// Its directory in each hierarchy; accounting is the first.
    directories: Vec<PathBuf>,
    home: PathBuf,
    unified: bool,
}

impl Group {
    pub(super) fn create(hierarchies: &Hierarchies, name: &str) -> Result<Self, AccountingError> {
        let directories = hierarchies
            .bases()
            .into_iter()
            .map(|base| base.join(name))
            .collect();
        let group = Self {
            directories,
            home: hierarchies.home(),
            unified: hierarchies.is_unified(),
        };
        for directory in &group.directories {
            create(directory)?;
        }
        if group.unified {
            enable_controllers(group.accounting())?;
        }
        create(&group.launcher())?;
        Ok(group)
    }

    fn accounting(&self) -> &Path {
        &self.directories[0]
    }

    fn launcher(&self) -> PathBuf {
        self.accounting().join("launcher")
    }

    /// The directories that a launcher makes for its limits, one in each hierarchy.
    pub fn limit_directories(&self) -> Vec<PathBuf> {
        self.directories
            .iter()
            .map(|directory| directory.join("limits"))
            .collect()
    }

    /// Moves this process in: what it starts from now on is accounted here.
    ///
    /// # Errors
    /// [`AccountingError::File`]
    pub fn enter(&self) -> Result<(), AccountingError> {
        write(self.launcher().join("cgroup.procs"), "0")
    }

    /// Moves this process back to where it was.
    ///
    /// # Errors
    /// [`AccountingError::File`]
    pub fn leave(&self) -> Result<(), AccountingError> {
        write(self.home.clone(), "0")
    }

    /// What is charged to the group and all below it now.
    ///
    /// # Errors
    /// [`AccountingError`]
    pub fn memory(&self) -> Result<MemoryCharge, AccountingError> {
        let stat = self.accounting().join("memory.stat");
        let text = read(&stat)?;
        let field = |name| {
            field(&text, name).ok_or(AccountingError::Field {
                path: stat.clone(),
                field: name,
            })
        };
        if self.unified {
            return Ok(MemoryCharge {
                anon: field("anon")?,
                file: field("file")?,
                kernel: field("kernel")?,
            });
        }
        let usage = self.accounting().join("memory.kmem.usage_in_bytes");
        let kernel = read(&usage)?.trim().parse().map(ByteSize::b);
        Ok(MemoryCharge {
            anon: field("total_rss")?,
            file: field("total_cache")?,
            kernel: kernel.map_err(|_| AccountingError::Field {
                path: usage,
                field: "bytes",
            })?,
        })
    }

    /// Waits until the group is empty, and removes it. The time from `ended` until it was empty, plus the removal;
    /// this process's own way out, which isn't the instance's, is not in it.
    ///
    /// # Errors
    /// [`AccountingError::LeftBehind`] if something had to be killed.
    pub fn remove(self, ended: MonotonicTime) -> Result<Duration, AccountingError> {
        let deadline = Instant::now() + PATIENCE;
        let empty = loop {
            let count = self.others().len();
            let now = MonotonicTime::now();
            if count == 0 {
                break now;
            }
            if Instant::now() > deadline {
                return Err(AccountingError::LeftBehind { count });
            }
            std::thread::sleep(LOOK_INTERVAL);
        };
        self.leave()?;
        let from = MonotonicTime::now();
        for directory in &self.directories {
            remove_tree(directory);
        }
        let removal = MonotonicTime::now().since(from).unwrap_or_default();
        Ok(empty.since(ended).unwrap_or_default() + removal)
    }

    fn others(&self) -> Vec<Pid> {
        others(self.accounting())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.accounting().exists() {
            return;
        }
        // Fails only where `enter` has failed before, and this process is at home anyway.
        let _ = self.leave();
        for directory in &self.directories {
            kill_and_remove(directory);
        }
    }
}

fn read(path: &Path) -> Result<String, AccountingError> {
    fs::read_to_string(path).map_err(|source| AccountingError::File {
        action: "read",
        path: path.to_owned(),
        source,
    })
}

/// The number behind `name` in a file of `name number` lines.
fn field(text: &str, name: &str) -> Option<ByteSize> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.parse().ok().map(ByteSize::b)
}

fn subgroups(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// The processes of a group and of all below it, but for this one.
fn others(directory: &Path) -> Vec<Pid> {
    let own = Pid::this();
    processes(directory)
        .into_iter()
        .filter(|pid| *pid != own)
        .collect()
}

fn processes(directory: &Path) -> Vec<Pid> {
    let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    let own = text
        .lines()
        .filter_map(|line| line.parse().ok())
        .map(Pid::from_raw);
    own.chain(
        subgroups(directory)
            .iter()
            .flat_map(|group| processes(group)),
    )
    .collect()
}

fn remove_tree(directory: &Path) {
    for group in subgroups(directory) {
        remove_tree(&group);
    }
    // A group that still has a dying process is taken by the next run.
    let _ = fs::remove_dir(directory);
}

/// Kills all processes below `directory`, and removes it once they are gone.
pub(super) fn kill_and_remove(directory: &Path) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let processes = others(directory);
        if processes.is_empty() || Instant::now() > deadline {
            break;
        }
        for pid in processes {
            let _ = kill(pid, Signal::SIGKILL);
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    remove_tree(directory);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_by_its_whole_name() {
        let text = "cache 4096\nrss 8192\ntotal_rss 12288\nfile_mapped 1\n";
        assert_eq!(field(text, "total_rss"), Some(ByteSize::b(12288)));
        assert_eq!(field(text, "rss"), Some(ByteSize::b(8192)));
        assert_eq!(field(text, "file"), None);
    }
}
