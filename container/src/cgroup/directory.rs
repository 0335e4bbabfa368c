//! One cgroup directory, from its creation to its removal.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, statfs};
use nix::unistd::Pid;

use super::{CgroupError, Controller, Limit};

/// How often a removal is tried while processes are still dying.
const REMOVAL_ATTEMPTS: u32 = 200;
/// The pause between two attempts.
const REMOVAL_PAUSE: Duration = Duration::from_millis(5);

/// Which interface a cgroup has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy a controller.
    V1,
    /// One hierarchy for all.
    V2,
}

impl Version {
    /// The version of the file system at `path`.
    ///
    /// # Errors
    /// It is no cgroup file system, or can't be reached.
    pub fn of(path: &Path) -> Result<Self, CgroupError> {
        let kind = statfs(path).map_err(|errno| CgroupError::Read {
            path: path.to_owned(),
            source: errno.into(),
        })?;
        match kind.filesystem_type() {
            CGROUP_SUPER_MAGIC => Ok(Self::V1),
            CGROUP2_SUPER_MAGIC => Ok(Self::V2),
            _ => Err(CgroupError::NotACgroup {
                path: path.to_owned(),
            }),
        }
    }
}

/// A cgroup that we made; dropping it kills what is in it and removes it.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    version: Version,
}

impl Cgroup {
    /// Makes the directory `path`, whose parent is a cgroup.
    ///
    /// # Errors
    /// The parent is no cgroup, or refuses.
    pub fn create(path: PathBuf) -> Result<Self, CgroupError> {
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let version = Version::of(parent.unwrap_or(Path::new(".")))?;
        match fs::create_dir(&path) {
            Ok(()) => Ok(Self { path, version }),
            Err(source) => Err(CgroupError::Create { path, source }),
        }
    }

    /// Takes over a cgroup that exists: one that an earlier run left behind.
    ///
    /// # Errors
    /// `path` is no cgroup.
    pub fn adopt(path: PathBuf) -> Result<Self, CgroupError> {
        let version = Version::of(&path)?;
        Ok(Self { path, version })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Sets `limit`; false if this hierarchy doesn't have its controller.
    ///
    /// # Errors
    /// The kernel refuses the value.
    pub fn limit(&self, limit: Limit) -> Result<bool, CgroupError> {
        let file = limit.file(self.version);
        match self.write(file, &limit.text(self.version)) {
            Ok(()) => Ok(true),
            Err(CgroupError::Write { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// The way in, to be handed to a process that shall join.
    ///
    /// Under v2 it is the directory, for `CLONE_INTO_CGROUP`. Under v1 it is the `tasks` file, to which a
    /// process of one thread writes "0" *itself*: then the kernel needs no lock against forks of the whole
    /// machine, since Linux 5.5. A write to `cgroup.procs`, or of another's id, takes that lock, and on an
    /// idle machine waits 6 to 18 ms for it.
    ///
    /// # Errors
    /// It can't be opened.
    pub fn entry(&self) -> Result<File, CgroupError> {
        let opened = match self.version {
            Version::V1 => OpenOptions::new().write(true).open(self.path.join("tasks")),
            Version::V2 => File::open(&self.path),
        };
        opened.map_err(|source| CgroupError::Read {
            path: self.path.clone(),
            source,
        })
    }

    /// Lets the cgroups below have those of `controllers` that this one has. Under v1 they always do.
    ///
    /// # Errors
    /// Under v2: processes are in this cgroup.
    pub fn hand_on_controllers(&self, controllers: &[Controller]) -> Result<(), CgroupError> {
        if self.version == Version::V1 {
            return Ok(());
        }
        let known = self.read("cgroup.controllers")?;
        for name in controllers.iter().filter_map(|one| one.v2_name()) {
            if known.split_whitespace().any(|known| known == name) {
                self.write("cgroup.subtree_control", &format!("+{name}"))?;
            }
        }
        Ok(())
    }

    /// Moves the process `pid` here. Slow on an idle machine under v1: see [`Cgroup::entry`].
    ///
    /// # Errors
    /// The process is gone, or the kernel refuses.
    pub fn join(&self, pid: Pid) -> Result<(), CgroupError> {
        join(&self.path, pid)
    }

    /// The processes in it and in the cgroups below it.
    ///
    /// # Errors
    /// Its files can't be read.
    pub fn processes(&self) -> Result<Vec<Pid>, CgroupError> {
        let mut pids = Vec::new();
        for path in tree(&self.path)? {
            let listed = path.join("cgroup.procs");
            // A cgroup below may vanish meanwhile: then it is empty.
            let text = match fs::read_to_string(&listed) {
                Ok(text) => text,
                Err(error) if is_gone(&error) => continue,
                Err(source) => {
                    return Err(CgroupError::Read {
                        path: listed,
                        source,
                    });
                }
            };
            pids.extend(
                text.lines()
                    .filter_map(|line| line.parse().ok())
                    .map(Pid::from_raw),
            );
        }
        Ok(pids)
    }

    /// Kills every process in it and in the cgroups below it.
    ///
    /// # Errors
    /// Its processes can't be listed.
    pub fn kill_all(&self) -> Result<(), CgroupError> {
        if self.version == Version::V2 && self.write("cgroup.kill", "1").is_ok() {
            return Ok(());
        }
        for pid in self.processes()? {
            // 0 stands for a process of a namespace that we don't see; to kill would be to kill ourselves.
            if pid.as_raw() > 0 {
                // It may have ended by itself.
                let _ = kill(pid, Signal::SIGKILL);
            }
        }
        Ok(())
    }

    /// Removes it and the cgroups below it, waiting for dying processes.
    ///
    /// # Errors
    /// Processes are still in it after a second.
    pub fn remove(self) -> Result<(), CgroupError> {
        // Drop would only try again.
        let cgroup = std::mem::ManuallyDrop::new(self);
        remove_tree(&cgroup.path)
    }

    /// The text of its file `name`.
    pub(super) fn read(&self, name: &str) -> Result<String, CgroupError> {
        let path = self.path.join(name);
        fs::read_to_string(&path).map_err(|source| CgroupError::Read { path, source })
    }

    fn write(&self, name: &str, value: &str) -> Result<(), CgroupError> {
        write(&self.path, name, value)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The usual case costs one call: all processes have ended.
        if fs::remove_dir(&self.path).is_err() && self.path.exists() {
            let _ = self.kill_all();
            let _ = remove_tree(&self.path);
        }
    }
}

/// Moves the process `pid` to the cgroup `path`, whoever made that.
///
/// # Errors
/// The process is gone, or the kernel refuses.
pub fn join(path: &Path, pid: Pid) -> Result<(), CgroupError> {
    write(path, "cgroup.procs", &pid.to_string())
}

fn write(cgroup: &Path, name: &str, value: &str) -> Result<(), CgroupError> {
    let path = cgroup.join(name);
    let written = OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut file| file.write_all(value.as_bytes()));
    written.map_err(|source| CgroupError::Write {
        path,
        value: value.to_owned(),
        source,
    })
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(Errno::ENODEV as i32)
}

/// `root` and the cgroups below it, each before its children.
fn tree(root: &Path) -> Result<Vec<PathBuf>, CgroupError> {
    let mut found = vec![root.to_owned()];
    let mut next = 0;
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if is_gone(&error) => continue,
            Err(source) => return Err(CgroupError::Read { path, source }),
        };
        let below = entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        found.extend(below.map(|entry| entry.path()));
    }
    Ok(found)
}

fn remove_tree(root: &Path) -> Result<(), CgroupError> {
    for path in tree(root)?.into_iter().rev() {
        remove_one(&path).map_err(|source| CgroupError::Remove { path, source })?;
    }
    Ok(())
}

fn remove_one(path: &Path) -> io::Result<()> {
    for _ in 0..REMOVAL_ATTEMPTS {
        match fs::remove_dir(path) {
            Ok(()) => return Ok(()),
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) if error.raw_os_error() == Some(Errno::EBUSY as i32) => sleep(REMOVAL_PAUSE),
            Err(error) => return Err(error),
        }
    }
    fs::remove_dir(path)
}
