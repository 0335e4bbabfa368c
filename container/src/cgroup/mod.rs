//! Control groups, versions 1 and 2: limits for a container, and accounting for whoever measures one.
//!
//! [`Hierarchies`] finds where this process may make groups for the controllers that it asks for; [`Group`] is one group
//! in all those hierarchies; [`Cgroup`] is one directory of it. [`Limit`] is what goes into one, [`Usage`] and
//! [`MemoryCharge`] are what comes out.
//!
//! Why not the cgroups-rs crate: a container's start makes two directories, writes two numbers and joins, 0.2 ms in
//! all, of which every superfluous `open` is a visible part; the crate asks for all controllers of the host, writes
//! to each and brings a D-Bus client. And it joins through `cgroup.procs`, which is what must not be done here:
//! see [`Cgroup::entry`].

mod directory;
mod group;
mod hierarchy;
mod limit;
mod membership;
mod memory;
mod usage;

use std::io;
use std::path::PathBuf;

pub use directory::{Cgroup, Version, join};
pub use group::Group;
pub use hierarchy::{Hierarchies, Hierarchy, Unusable};
pub use limit::{
    BlockDevice, Cpus, CpusSyntaxError, DeviceError, Direction, IoRate, IoRateSyntaxError, Limit,
};
pub use memory::MemoryCharge;
pub use usage::Usage;

/// What a cgroup is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// Counts and limits memory.
    Memory,
    /// Counts and limits processes.
    Pids,
    /// Limits processor time.
    Cpu,
    /// Counts processor time: under v2 every group does.
    CpuAccounting,
    /// Counts and limits input and output of block devices.
    Io,
}

impl Controller {
    /// All.
    pub const ALL: [Self; 5] = [
        Self::Memory,
        Self::Pids,
        Self::Cpu,
        Self::CpuAccounting,
        Self::Io,
    ];

    /// Its name for a reader.
    pub const fn name(self) -> &'static str {
        match self.v2_name() {
            Some(name) => name,
            None => self.v1_name(),
        }
    }

    /// Its name in v1's files.
    const fn v1_name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
            Self::CpuAccounting => "cpuacct",
            Self::Io => "blkio",
        }
    }

    /// Its name in v2's files, if it takes a controller there.
    const fn v2_name(self) -> Option<&'static str> {
        match self {
            Self::Memory => Some("memory"),
            Self::Pids => Some("pids"),
            Self::Cpu => Some("cpu"),
            Self::CpuAccounting => None,
            Self::Io => Some("io"),
        }
    }
}

/// What went wrong with a cgroup.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is")]
pub enum CgroupError {
    #[error("cannot create the cgroup {path:?}")]
    Create { path: PathBuf, source: io::Error },
    #[error("{path:?} is not in a cgroup file system")]
    NotACgroup { path: PathBuf },
    #[error("the cgroups {paths:?} are not of one version; give v1's, or one of v2")]
    Mixed { paths: Vec<PathBuf> },
    #[error("cannot write {value:?} to {path:?}")]
    Write {
        path: PathBuf,
        value: String,
        source: io::Error,
    },
    #[error("cannot read {path:?}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path:?} holds {text:?}, which is not a number")]
    NotANumber { path: PathBuf, text: String },
    #[error("{path:?} has no number named {name}")]
    NoStatistic { path: PathBuf, name: &'static str },
    #[error("no cgroup among {paths:?} has the {controller} controller")]
    NoController {
        controller: &'static str,
        paths: Vec<PathBuf>,
    },
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error("cannot remove the cgroup {path:?}: its processes don't go away")]
    Remove { path: PathBuf, source: io::Error },
}

#[cfg(test)]
mod tests;
