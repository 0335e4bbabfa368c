//! What a memory cgroup is charged with, by part.

use super::{Cgroup, CgroupError, Version};

/// Bytes charged to a cgroup and the cgroups below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryCharge {
    /// All of it.
    pub total: u64,
    /// Anonymous pages of processes.
    pub anonymous: u64,
    /// Page cache, with tmpfs.
    pub file: u64,
    /// The kernel's own: page tables, stacks, namespaces, VMs.
    pub kernel: u64,
}

/// Parts of v2's `kernel`, for kernels before 5.18, which don't add them up.
const KERNEL_PARTS: [&str; 5] = ["kernel_stack", "pagetables", "percpu", "sock", "slab"];

impl Cgroup {
    /// Reads what this cgroup is charged with. The kernel charges in batches, a few dozen pages a CPU.
    ///
    /// # Errors
    /// There is no memory controller here, or its files are not as documented.
    pub fn memory_charge(&self) -> Result<MemoryCharge, CgroupError> {
        let statistics = self.read("memory.stat")?;
        match self.version() {
            Version::V1 => Ok(MemoryCharge {
                total: self.number("memory.usage_in_bytes")?,
                anonymous: statistic(&statistics, "total_rss").unwrap_or(0),
                file: statistic(&statistics, "total_cache").unwrap_or(0),
                kernel: self.number("memory.kmem.usage_in_bytes").unwrap_or(0),
            }),
            Version::V2 => Ok(MemoryCharge {
                total: self.number("memory.current")?,
                anonymous: statistic(&statistics, "anon").unwrap_or(0),
                file: statistic(&statistics, "file").unwrap_or(0),
                kernel: kernel(&statistics),
            }),
        }
    }

    /// How many processes in it the kernel has killed for want of memory.
    ///
    /// # Errors
    /// There is no memory controller here.
    pub fn memory_kills(&self) -> Result<u64, CgroupError> {
        let file = match self.version() {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        Ok(statistic(&self.read(file)?, "oom_kill").unwrap_or(0))
    }

    fn number(&self, file: &str) -> Result<u64, CgroupError> {
        let text = self.read(file)?;
        text.trim().parse().map_err(|_| CgroupError::NotANumber {
            path: self.path().join(file),
            text: text.trim().to_owned(),
        })
    }
}

fn kernel(statistics: &str) -> u64 {
    statistic(statistics, "kernel").unwrap_or_else(|| {
        let parts = KERNEL_PARTS
            .iter()
            .filter_map(|part| statistic(statistics, part));
        parts.fold(0, u64::saturating_add)
    })
}

/// The value of `key` in lines of `key value`.
pub(super) fn statistic(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find_map(|(name, value)| (name == key).then(|| value.trim().parse().ok())?)
}
