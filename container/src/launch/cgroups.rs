//! The cgroups that hold a container's limits: made, filled in, and joined.

use std::fs::File;
use std::path::Path;

use super::observer::PhaseObserver;
use super::phase::Phase;
use super::plan::Joining;
use crate::cgroup::{Cgroup, CgroupError, Limit, Version};
use crate::config::Config;

/// The cgroups of a launch, and how the first process joins them.
pub struct LaunchCgroups {
    /// The cgroups made so far. Dropping them removes them.
    pub made: Vec<Cgroup>,
    /// Under cgroups v2: the directory in which the first process is born.
    pub birthplace: Option<File>,
    joining: Joining,
}

impl LaunchCgroups {
    /// Finds out how the cgroups of `config` are joined. None is made yet.
    pub fn find(config: &Config) -> Result<Self, CgroupError> {
        let joining = match config.spec.cgroups.first() {
            None => Joining::NoCgroup,
            Some(first) => match Version::of(first.parent().unwrap_or(first))? {
                Version::V1 => Joining::Later,
                Version::V2 => Joining::AtBirth,
            },
        };
        Ok(Self {
            made: Vec::new(),
            birthplace: None,
            joining,
        })
    }

    /// When the first process gets into the cgroups.
    pub fn joining(&self) -> Joining {
        self.joining
    }

    /// Under cgroups v2: makes the cgroup, in which the first process is born.
    pub fn prepare_birth(
        &mut self,
        config: &Config,
        observer: &dyn PhaseObserver,
    ) -> Result<(), CgroupError> {
        if self.joining == Joining::AtBirth {
            self.make(config)?;
            self.birthplace = self.made.first().map(Cgroup::entry).transpose()?;
            observer.phase_ended(Phase::Cgroup);
        }
        Ok(())
    }

    /// Under cgroups v1: makes the cgroups while the first process sets itself up, and opens the
    /// files by which the process joins.
    pub fn entries(&mut self, config: &Config) -> Result<Vec<File>, CgroupError> {
        if self.joining != Joining::Later {
            return Ok(Vec::new());
        }
        self.make(config)?;
        self.made.iter().map(Cgroup::entry).collect()
    }

    fn make(&mut self, config: &Config) -> Result<(), CgroupError> {
        let paths = &config.spec.cgroups;
        for path in paths {
            self.made.push(Cgroup::create(path.clone())?);
        }
        let versions = self.made.iter().map(Cgroup::version);
        let v2 = versions.filter(|version| *version == Version::V2).count();
        if v2 > 1 || (v2 == 1 && self.made.len() > 1) {
            return Err(CgroupError::Mixed {
                paths: paths.clone(),
            });
        }
        let mut limits = config.limits.iter();
        limits.try_for_each(|limit| self.limit(*limit))
    }

    /// Sets `limit` on the first cgroup whose hierarchy has the controller.
    fn limit(&self, limit: Limit) -> Result<(), CgroupError> {
        for cgroup in &self.made {
            if cgroup.limit(limit)? {
                return Ok(());
            }
        }
        Err(CgroupError::NoController {
            controller: limit.controller().name(),
            paths: self
                .made
                .iter()
                .map(Cgroup::path)
                .map(Path::to_owned)
                .collect(),
        })
    }
}
