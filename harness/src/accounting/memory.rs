//! What a cgroup's memory controller says, by part, once it agrees with itself.
//!
//! The parts come from `memory.stat`, which adds up (cgroup-v2.rst and memory.rst in the kernel's documentation). The kernel
//! collects these figures for each CPU and brings them together now and then, so that they can be megabytes behind
//! just after a burst of page faults. The usage counter isn't: it is behind by one batch for each CPU at most. So a
//! reading counts once both agree.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use isobench_container::cgroup::{Cgroup, Version};

use super::{AccountingError, read};

/// Pages that the kernel charges ahead of need for each CPU (`MEMCG_CHARGE_BATCH`), in bytes.
const BATCH: u64 = 64 * 4096;
/// The kernel brings its figures together every two seconds at the latest.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What the kernel charges to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryCharge {
    /// Anonymous pages.
    pub anon: ByteSize,
    /// Pages of files, tmpfs included.
    pub file: ByteSize,
    /// The kernel's own memory on behalf of the group.
    pub kernel: ByteSize,
}

impl MemoryCharge {
    fn sum(self) -> u64 {
        self.anon.as_u64() + self.file.as_u64() + self.kernel.as_u64()
    }
}

/// Reads the charge until its parts agree with the usage counter.
pub(super) fn settled_charge(cgroup: &Cgroup) -> Result<MemoryCharge, AccountingError> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    // The counter is read first and again after the parts: twice a batch for each CPU.
    let tolerance = 2 * BATCH * cpus as u64;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let usage = usage(cgroup)?;
        let charge = charge(cgroup)?;
        if usage.abs_diff(charge.sum()) <= tolerance {
            return Ok(charge);
        }
        if Instant::now() > deadline {
            return Err(AccountingError::Unsettled {
                usage: ByteSize::b(usage),
                parts: ByteSize::b(charge.sum()),
            });
        }
        sleep(LOOK_INTERVAL);
    }
}

fn usage(cgroup: &Cgroup) -> Result<u64, AccountingError> {
    number(cgroup.path().join(match cgroup.version() {
        Version::V1 => "memory.usage_in_bytes",
        Version::V2 => "memory.current",
    }))
}

fn charge(cgroup: &Cgroup) -> Result<MemoryCharge, AccountingError> {
    let path = cgroup.path().join("memory.stat");
    let text = read(&path)?;
    let field = |name| {
        field(&text, name).ok_or_else(|| AccountingError::Field {
            path: path.clone(),
            field: name,
        })
    };
    match cgroup.version() {
        Version::V1 => Ok(MemoryCharge {
            anon: field("total_rss")?,
            file: field("total_cache")?,
            kernel: ByteSize::b(number(cgroup.path().join("memory.kmem.usage_in_bytes"))?),
        }),
        Version::V2 => Ok(MemoryCharge {
            anon: field("anon")?,
            file: field("file")?,
            kernel: field("kernel")?,
        }),
    }
}

fn number(path: PathBuf) -> Result<u64, AccountingError> {
    let text = read(&path)?;
    text.trim().parse().map_err(|_| AccountingError::Field {
        path,
        field: "bytes",
    })
}

/// The number behind `name` in a file of `name number` lines.
fn field(text: &str, name: &str) -> Option<ByteSize> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.parse().ok().map(ByteSize::b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_by_its_whole_name() {
        let text = "cache 4096\nrss 8192\ntotal_rss 12288\nfile_mapped 1\n";
        assert_eq!(field(text, "total_rss"), Some(ByteSize::b(12288)));
        assert_eq!(field(text, "rss"), Some(ByteSize::b(8192)));
        assert_eq!(field(text, "file"), None);
    }
}
