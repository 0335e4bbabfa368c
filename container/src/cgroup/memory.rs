//! What a memory cgroup is charged with, by kind of memory.

use bytesize::ByteSize;

use super::directory::Cgroup;
use super::error::CgroupError;
use super::version::Version;

/// Bytes charged to a cgroup and the cgroups below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryCharge {
    /// The total, as the controller's own counter has it.
    pub usage: ByteSize,
    /// Anonymous pages of processes.
    pub anonymous: ByteSize,
    /// The page cache, of which tmpfs is a part.
    pub file: ByteSize,
    /// The kernel's own memory for the group: page tables, stacks, namespaces, VMs.
    pub kernel: ByteSize,
}

impl MemoryCharge {
    /// The sum of the three kinds of memory.
    pub fn sum(self) -> ByteSize {
        self.anonymous + self.file + self.kernel
    }
}

/// The parts of v2's statistic `kernel`. Kernels before 5.18 do not add them up.
const KERNEL_PARTS: [&str; 4] = ["kernel_stack", "pagetables", "percpu", "slab"];

impl Cgroup {
    /// Reads what this cgroup is charged with. The kernel charges in batches of a few dozen pages a
    /// CPU.
    ///
    /// # Errors
    /// The cgroup has no memory controller, or its files are not as documented.
    pub fn memory_charge(&self) -> Result<MemoryCharge, CgroupError> {
        let statistics = self.read("memory.stat")?;
        let part = |name| {
            statistic(&statistics, name)
                .map(ByteSize::b)
                .ok_or_else(|| CgroupError::NoStatistic {
                    path: self.path().join("memory.stat"),
                    name,
                })
        };
        let usage = self.memory_usage()?;
        match self.version() {
            Version::V1 => Ok(MemoryCharge {
                usage,
                anonymous: part("total_rss")?,
                file: part("total_cache")?,
                kernel: self.number("memory.kmem.usage_in_bytes")?,
            }),
            Version::V2 => Ok(MemoryCharge {
                usage,
                anonymous: part("anon")?,
                file: part("file")?,
                // Buffers of sockets are counted apart (admin-guide/cgroup-v2.rst, memory.stat).
                kernel: part("sock")?
                    + part("kernel").or_else(|_| {
                        KERNEL_PARTS
                            .into_iter()
                            .map(part)
                            .try_fold(ByteSize::b(0), |sum, part| {
                                Ok::<_, CgroupError>(sum + part?)
                            })
                    })?,
            }),
        }
    }

    /// Reads the controller's own counter of what this cgroup is charged with, and nothing else.
    ///
    /// # Errors
    /// The cgroup has no memory controller.
    pub fn memory_usage(&self) -> Result<ByteSize, CgroupError> {
        self.number(match self.version() {
            Version::V1 => "memory.usage_in_bytes",
            Version::V2 => "memory.current",
        })
    }

    /// How many processes of this cgroup the kernel has killed because the cgroup hit its memory
    /// limit.
    ///
    /// # Errors
    /// The cgroup has no memory controller.
    pub fn memory_kills(&self) -> Result<u64, CgroupError> {
        let file = match self.version() {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        Ok(statistic(&self.read(file)?, "oom_kill").unwrap_or(0))
    }

    fn number(&self, file: &str) -> Result<ByteSize, CgroupError> {
        let text = self.read(file)?;
        text.trim()
            .parse()
            .map(ByteSize::b)
            .map_err(|_| CgroupError::NotANumber {
                path: self.path().join(file),
                text: text.trim().to_owned(),
            })
    }
}

/// The value of `key` in a text whose lines are `key value`.
pub(super) fn statistic(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find_map(|(name, value)| (name == key).then(|| value.trim().parse().ok())?)
}
