//! The two versions of cgroups.

use std::path::Path;

use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, statfs};

use super::error::CgroupError;

/// The version of a cgroup's interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Version 1: each controller has a hierarchy of its own, or shares one.
    V1,
    /// Version 2: one hierarchy has all controllers.
    V2,
}

impl Version {
    /// The version of the file system at `path`.
    ///
    /// # Errors
    /// The file system is none of cgroups, or cannot be reached.
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
