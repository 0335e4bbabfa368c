//! The group of one instance.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use isobench_container::cgroup::Cgroup;
use nix::unistd::Pid;

use super::memory::{self, MemoryCharge};
use super::{AccountingError, Hierarchies, write};
use crate::marks::MonotonicTime;

/// How long processes may outlive their launcher before they are killed.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between two looks: v1 has no event for an empty group. Launchers that reap their program, all of isobench's
/// own, leave it empty at the first look.
const LOOK_INTERVAL: Duration = Duration::from_micros(100);

/// A group; dropping it kills what is in it and removes it.
#[derive(Debug)]
pub struct Group {
    /// Where this process is, and what it starts.
    launcher: Cgroup,
    /// Its cgroup in each hierarchy; accounting is the first.
    cgroups: Vec<Cgroup>,
    home: PathBuf,
}

impl Group {
    pub(super) fn create(hierarchies: &Hierarchies, name: &str) -> Result<Self, AccountingError> {
        let cgroups = hierarchies
            .bases()
            .into_iter()
            .map(|base| Cgroup::create(base.join(name)))
            .collect::<Result<Vec<_>, _>>()?;
        cgroups[0].hand_on_controllers()?;
        Ok(Self {
            launcher: Cgroup::create(cgroups[0].path().join("launcher"))?,
            cgroups,
            home: hierarchies.home(),
        })
    }

    /// The directories that a launcher makes for its limits, one in each hierarchy.
    pub fn limit_directories(&self) -> Vec<PathBuf> {
        self.cgroups
            .iter()
            .map(|cgroup| cgroup.path().join("limits"))
            .collect()
    }

    /// Moves this process in: what it starts from now on is accounted here.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn enter(&self) -> Result<(), AccountingError> {
        Ok(self.launcher.join(Pid::this())?)
    }

    /// Moves this process back to where it was.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn leave(&self) -> Result<(), AccountingError> {
        write(self.home.clone(), "0")
    }

    /// What is charged to the group and all below it now.
    ///
    /// # Errors
    /// The kernel's figures can't be read, or contradict each other.
    pub fn memory(&self) -> Result<MemoryCharge, AccountingError> {
        memory::settled_charge(&self.cgroups[0])
    }

    /// Waits until the group is empty, and removes it. The time from `ended` until it was empty, plus the removal;
    /// this process's own way out, which isn't the instance's, is not in it.
    ///
    /// # Errors
    /// [`AccountingError::LeftBehind`] if something had to be killed.
    pub fn remove(mut self, ended: MonotonicTime) -> Result<Duration, AccountingError> {
        let deadline = Instant::now() + PATIENCE;
        let empty = loop {
            let count = self.others()?;
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
        for cgroup in self.cgroups.drain(..) {
            cgroup.remove()?;
        }
        let removal = MonotonicTime::now().since(from).unwrap_or_default();
        Ok(empty.since(ended).unwrap_or_default() + removal)
    }

    fn others(&self) -> Result<usize, AccountingError> {
        let own = Pid::this();
        let processes = self.cgroups[0].processes()?;
        Ok(processes.into_iter().filter(|pid| *pid != own).count())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Each `Cgroup` kills what it holds when it is dropped: this process must be out by then. Leaving fails only
        // where entering has failed before, and this process is at home anyway.
        let _ = self.leave();
    }
}

/// Kills what is in the cgroup `path`, and removes it.
pub(super) fn kill_and_remove(path: &Path) {
    // Dropping it does so; one that is no cgroup isn't ours.
    drop(Cgroup::adopt(path.to_owned()));
}
