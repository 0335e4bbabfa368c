//! One cgroup directory, from its creation to its removal.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::controller::Controller;
use super::error::CgroupError;
use super::limit::Limit;
use super::version::Version;

/// How often a removal is tried while processes are still dying.
const REMOVAL_ATTEMPTS: u32 = 200;
/// The pause between two attempts to remove a cgroup.
const REMOVAL_PAUSE: Duration = Duration::from_millis(5);

/// A cgroup that this process has made. Dropping it kills the processes in the cgroup and removes
/// the cgroup.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    version: Version,
}

impl Cgroup {
    /// Makes the cgroup `path`, whose parent is a cgroup.
    ///
    /// # Errors
    /// The parent is no cgroup, or the kernel refuses.
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

    /// Takes over a cgroup that an earlier run left behind.
    ///
    /// # Errors
    /// `path` is no cgroup.
    pub fn adopt(path: PathBuf) -> Result<Self, CgroupError> {
        let version = Version::of(&path)?;
        Ok(Self { path, version })
    }

    /// The directory of the cgroup.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The version of the cgroup's hierarchy.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Sets `limit`, and tells whether this hierarchy has the controller of the limit. If it does
    /// not, nothing is set.
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

    /// Opens the file by which another process can join the cgroup.
    ///
    /// Under v2 that is the directory, for `CLONE_INTO_CGROUP`. Under v1 that is the file `tasks`,
    /// to which a process of one thread writes "0" *itself*: then the kernel, since Linux 5.5,
    /// takes no lock against forks of the whole machine. A write to `cgroup.procs`, or of another
    /// process's id, takes that lock, and on an idle machine waits 6 to 18 ms for it.
    ///
    /// # Errors
    /// The file cannot be opened.
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

    /// Lets the cgroups below have those of `controllers` that this cgroup has. Under v1 the
    /// cgroups below always have them.
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

    /// Moves the process `pid` into the cgroup. Under v1 that is slow on an idle machine: see
    /// [`Cgroup::entry`].
    ///
    /// # Errors
    /// The process is gone, or the kernel refuses.
    pub fn join(&self, pid: Pid) -> Result<(), CgroupError> {
        join(&self.path, pid)
    }

    /// The processes in the cgroup and in the cgroups below it.
    ///
    /// # Errors
    /// The files of the cgroup cannot be read.
    pub fn processes(&self) -> Result<Vec<Pid>, CgroupError> {
        let mut pids = Vec::new();
        for path in tree(&self.path)? {
            let listed = path.join("cgroup.procs");
            // A cgroup below may vanish meanwhile. Then it has no processes.
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

    /// Kills every process in the cgroup and in the cgroups below it.
    ///
    /// # Errors
    /// The processes cannot be listed.
    pub fn kill_all(&self) -> Result<(), CgroupError> {
        if self.version == Version::V2 && self.write("cgroup.kill", "1").is_ok() {
            return Ok(());
        }
        for pid in self.processes()? {
            // 0 stands for a process of a PID namespace that this process does not see. A signal to
            // 0 would be a signal to this process's own group.
            if pid.as_raw() > 0 {
                // The call fails if the process has ended by itself.
                let _ = kill(pid, Signal::SIGKILL);
            }
        }
        Ok(())
    }

    /// Removes the cgroup and the cgroups below it, after waiting for their dying processes.
    ///
    /// # Errors
    /// A cgroup still has processes after a second.
    pub fn remove(self) -> Result<(), CgroupError> {
        // Dropping the cgroup would only try again.
        let cgroup = std::mem::ManuallyDrop::new(self);
        remove_tree(&cgroup.path)
    }

    /// The text of the cgroup's file `name`.
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
        // Usually all processes have ended, and one call is enough.
        if fs::remove_dir(&self.path).is_err() && self.path.exists() {
            let _ = self.kill_all();
            let _ = remove_tree(&self.path);
        }
    }
}

/// Moves the process `pid` into the cgroup `path`, which anybody may have made.
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

/// `root` and all cgroups below it, each before its children.
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
