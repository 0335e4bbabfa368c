//! The cgroups that hold a container's limits: made, filled in, and joined.

use std::fs::File;

use crate::Phase;
use crate::cgroup::{BlockDevice, Cgroup, CgroupError, Direction, Limit, Version};
use crate::config::Spec;

/// The container's cgroups and how they are joined.
pub struct Limits {
    /// What was made; dropping them removes them.
    pub cgroups: Vec<Cgroup>,
    /// Under v2: where the first process is born.
    pub birthplace: Option<File>,
    /// Under v1: whether the first process is going to join by itself.
    pub joined_by_child: bool,
}

impl Limits {
    /// Under v2 the cgroup is made now, since the first process is born in it; under v1 while that sets itself up.
    pub fn before_clone(spec: &Spec, on_phase: &dyn Fn(Phase)) -> Result<Self, CgroupError> {
        let mut limits = Self {
            cgroups: Vec::new(),
            birthplace: None,
            joined_by_child: false,
        };
        let Some(first) = spec.cgroups.first() else {
            return Ok(limits);
        };
        if Version::of(first.parent().unwrap_or(first))? == Version::V1 {
            limits.joined_by_child = true;
            return Ok(limits);
        }
        limits.create(spec)?;
        limits.birthplace = limits.cgroups.first().map(Cgroup::entry).transpose()?;
        on_phase(Phase::Cgroup);
        Ok(limits)
    }

    /// The ways into cgroups v1, for the first process.
    pub fn after_clone(&mut self, spec: &Spec) -> Result<Vec<File>, CgroupError> {
        if !self.joined_by_child {
            return Ok(Vec::new());
        }
        self.create(spec)?;
        self.cgroups.iter().map(Cgroup::entry).collect()
    }

    fn create(&mut self, spec: &Spec) -> Result<(), CgroupError> {
        for path in &spec.cgroups {
            self.cgroups.push(Cgroup::create(path.clone())?);
        }
        let versions = self.cgroups.iter().map(Cgroup::version);
        let v2 = versions.filter(|version| *version == Version::V2).count();
        if v2 > 1 || (v2 == 1 && self.cgroups.len() > 1) {
            return Err(CgroupError::Mixed {
                paths: spec.cgroups.clone(),
            });
        }
        limits_of(spec)?
            .into_iter()
            .try_for_each(|limit| self.limit(limit))
    }

    fn limit(&self, limit: Limit) -> Result<(), CgroupError> {
        for cgroup in &self.cgroups {
            if cgroup.limit(limit)? {
                return Ok(());
            }
        }
        Err(CgroupError::NoController {
            controller: limit.controller().name(),
            paths: self
                .cgroups
                .iter()
                .map(|cgroup| cgroup.path().to_owned())
                .collect(),
        })
    }
}

/// What `spec` limits.
fn limits_of(spec: &Spec) -> Result<Vec<Limit>, CgroupError> {
    let mut limits: Vec<Limit> = Vec::new();
    limits.extend(spec.memory.map(Limit::Memory));
    limits.extend(spec.pids.map(Limit::Pids));
    limits.extend(spec.cpus.map(Limit::Cpus));
    for (rates, direction) in [
        (&spec.io_read, Direction::Read),
        (&spec.io_write, Direction::Write),
    ] {
        for limit in rates {
            let device = BlockDevice::behind(&limit.path)?;
            limits.push(Limit::Io(device, direction, limit.rate));
        }
    }
    Ok(limits)
}
