//! A group of processes: one cgroup in each usable hierarchy.

use std::path::{Path, PathBuf};

use nix::unistd::Pid;

use super::controller::Controller;
use super::directory::Cgroup;
use super::error::CgroupError;
use super::hierarchies::Hierarchies;
use super::memory::MemoryCharge;

/// Cgroups of one name in all usable hierarchies. Dropping the group kills its processes and
/// removes its cgroups.
#[derive(Debug)]
pub struct Group {
    cgroups: Vec<Cgroup>,
    /// The controllers that the group was made for.
    controllers: Vec<Controller>,
}

impl Group {
    /// Makes the group `name` in each of `hierarchies`.
    ///
    /// # Errors
    /// A cgroup of the group cannot be made. Those already made are removed.
    pub fn create(hierarchies: &Hierarchies, name: &str) -> Result<Self, CgroupError> {
        let parents = hierarchies.parents();
        let cgroups = parents
            .into_iter()
            .map(|parent| Cgroup::create(parent.join(name)));
        Ok(Self {
            cgroups: cgroups.collect::<Result<_, _>>()?,
            controllers: hierarchies.usable().collect(),
        })
    }

    /// Makes the group `name` inside this one.
    ///
    /// # Errors
    /// A cgroup of the new group cannot be made. Those already made are removed.
    pub fn child(&self, name: &str) -> Result<Self, CgroupError> {
        let cgroups = self.below(name).into_iter().map(Cgroup::create);
        Ok(Self {
            cgroups: cgroups.collect::<Result<_, _>>()?,
            controllers: self.controllers.clone(),
        })
    }

    /// The directories of a group `name` inside this one, which a launcher takes after `--cgroup`.
    pub fn below(&self, name: &str) -> Vec<PathBuf> {
        self.cgroups
            .iter()
            .map(|cgroup| cgroup.path().join(name))
            .collect()
    }

    /// Lets the groups inside this one have limits of their own. v2 has to be told so, and allows
    /// that only while no process is in this group.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn hand_on_controllers(&self) -> Result<(), CgroupError> {
        self.cgroups
            .iter()
            .try_for_each(|cgroup| cgroup.hand_on_controllers(&self.controllers))
    }

    /// The processes in this group.
    ///
    /// # Errors
    /// The group's files cannot be read.
    pub fn processes(&self) -> Result<Vec<Pid>, CgroupError> {
        self.cgroups
            .first()
            .map_or_else(|| Ok(Vec::new()), Cgroup::processes)
    }

    /// What the group's memory cgroup is charged with.
    ///
    /// # Errors
    /// No memory controller is usable, or the cgroup's files are not as documented.
    pub fn memory_charge(&self) -> Result<MemoryCharge, CgroupError> {
        self.memory()?.memory_charge()
    }

    /// The group's cgroup in the hierarchy that accounts memory.
    ///
    /// # Errors
    /// No memory controller is usable.
    pub fn memory(&self) -> Result<&Cgroup, CgroupError> {
        let memory = self
            .cgroups
            .iter()
            .find(|cgroup| cgroup.path().join("memory.stat").exists());
        memory.ok_or_else(|| CgroupError::NoController {
            controller: Controller::Memory.name(),
            paths: self
                .cgroups
                .iter()
                .map(|cgroup| cgroup.path().to_owned())
                .collect(),
        })
    }

    /// Removes the group, after waiting for its dying processes.
    ///
    /// # Errors
    /// The group still has processes after a second.
    pub fn remove(self) -> Result<(), CgroupError> {
        self.cgroups.into_iter().try_for_each(Cgroup::remove)
    }

    /// The directories of the group's cgroups.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.cgroups.iter().map(Cgroup::path)
    }

    /// Kills and removes the groups in `hierarchies` that a killed run has left: those of which
    /// `claim` gives something, which is held during the removal. Returns how many cgroups there
    /// were.
    ///
    /// # Errors
    /// A cgroup cannot be removed. The others are removed all the same.
    pub fn sweep<Claim>(
        hierarchies: &Hierarchies,
        claim: impl Fn(&Path) -> Option<Claim>,
    ) -> Result<usize, CgroupError> {
        let mut result = Ok(0);
        for parent in hierarchies.parents() {
            for path in directories_in(parent)? {
                let Some(_claim) = claim(&path) else {
                    continue;
                };
                result = match (sweep_one(path), result) {
                    (Ok(()), Ok(swept)) => Ok(swept + 1),
                    (Err(error), Ok(_)) => Err(error),
                    (_, before) => before,
                };
            }
        }
        result
    }
}

fn sweep_one(path: PathBuf) -> Result<(), CgroupError> {
    let left = Cgroup::adopt(path)?;
    left.kill_all()?;
    left.remove()
}

fn directories_in(parent: &Path) -> Result<Vec<PathBuf>, CgroupError> {
    let entries = std::fs::read_dir(parent).map_err(|source| CgroupError::Read {
        path: parent.to_owned(),
        source,
    })?;
    let directories = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    Ok(directories.map(|entry| entry.path()).collect())
}
