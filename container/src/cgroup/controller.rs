//! The controllers of cgroups, and how each version names them.

use strum::VariantArray;

/// What a cgroup counts or limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray)]
pub enum Controller {
    /// Counts and limits memory.
    Memory,
    /// Counts and limits processes.
    Pids,
    /// Limits processor time.
    Cpu,
    /// Counts processor time. Under v2 every group does so without a controller.
    CpuAccounting,
    /// Counts and limits the input and output of block devices.
    Io,
}

impl Controller {
    /// All controllers.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The controller's name for a reader.
    pub const fn name(self) -> &'static str {
        match self.v2_name() {
            Some(name) => name,
            None => self.v1_name(),
        }
    }

    /// The controller's name in the files of v1.
    pub(super) const fn v1_name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
            Self::CpuAccounting => "cpuacct",
            Self::Io => "blkio",
        }
    }

    /// The controller's name in the files of v2; `None` if v2 needs no controller for the purpose.
    pub(super) const fn v2_name(self) -> Option<&'static str> {
        match self {
            Self::Memory => Some("memory"),
            Self::Pids => Some("pids"),
            Self::Cpu => Some("cpu"),
            Self::CpuAccounting => None,
            Self::Io => Some("io"),
        }
    }
}
