//! What a series leaves to the host in any case: memory, processes and descriptors; and how long a
//! series may take.

use std::fmt;
use std::fs;
use std::time::Duration;

use bytesize::ByteSize;
use nix::sys::resource::{Resource, getrlimit};
use procfs::{Current as _, Meminfo};

use crate::experiments::profile::Profile;

/// The memory that must stay available, in any case.
const LEAST_MEMORY: ByteSize = ByteSize::mib(512);
/// One part in so many of the host's memory must stay available, if that is more than
/// `LEAST_MEMORY`.
const RESERVED_PART: u64 = 8;
/// The factor by which a step may need more memory than the steps before suggest.
const MARGIN: f64 = 2.0;
/// The number of processes and threads that one instance may have.
const PROCESSES: u64 = 16;
/// The number of descriptors that the harness needs for one instance.
const DESCRIPTORS: u64 = 8;
/// The number of descriptors that the harness needs for everything else.
const OTHER_DESCRIPTORS: u64 = 64;

/// The next step of a series, and what it needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Growth {
    /// The number of instances to start.
    pub more: u32,
    /// The memory that these instances need if they are as large as those before, in bytes.
    pub memory: f64,
    /// The time that the series has taken so far.
    pub elapsed: Duration,
}

/// What is free on the host.
#[derive(Debug, Clone, Copy)]
struct FreeResources {
    /// The available memory, in bytes.
    memory: u64,
    /// The memory that must stay available, in bytes.
    reserved_memory: u64,
    processes: u64,
    descriptors: u64,
}

/// Why a step is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The series has used up this time.
    Time(Duration),
    /// The host might have less than this memory left.
    Memory(ByteSize),
    /// The host can have only so many more processes.
    Processes(u64),
    /// The harness can have only so many more descriptors.
    Descriptors(u64),
    /// The host's free resources are unknown.
    Unknown,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not started: ")?;
        match self {
            Self::Time(limit) => write!(f, "the series had used up its {limit:?}"),
            Self::Memory(reserved) => write!(
                f,
                "less than {} of available memory might have been left",
                reserved.display().iec()
            ),
            Self::Processes(free) => write!(f, "the kernel has room for {free} more processes"),
            Self::Descriptors(free) => {
                write!(
                    f,
                    "this process may open {free} more descriptors; raise `ulimit -n`"
                )
            }
            Self::Unknown => f.write_str("the host's free memory and processes can't be read"),
        }
    }
}

/// The limits of a series.
#[derive(Debug)]
pub(super) struct Reserve {
    /// How long a series may take.
    time: Duration,
}

impl Reserve {
    pub(super) fn new(profile: Profile) -> Self {
        let seconds = match profile {
            Profile::Quick => 2,
            Profile::Standard => 5,
            Profile::Thorough => 15,
        };
        Self {
            time: Duration::from_secs(seconds),
        }
    }

    /// Checks that the host has enough free resources for `growth`.
    pub(super) fn check(&self, growth: &Growth) -> Result<(), Refusal> {
        self.check_with(growth, &FreeResources::now().ok_or(Refusal::Unknown)?)
    }

    fn check_with(&self, growth: &Growth, free: &FreeResources) -> Result<(), Refusal> {
        if growth.elapsed > self.time {
            return Err(Refusal::Time(self.time));
        }
        let left = free.memory.saturating_sub(free.reserved_memory);
        if left == 0 || growth.memory * MARGIN > left as f64 {
            return Err(Refusal::Memory(ByteSize(free.reserved_memory)));
        }
        let more = u64::from(growth.more);
        if more * PROCESSES > free.processes {
            return Err(Refusal::Processes(free.processes));
        }
        if more * DESCRIPTORS > free.descriptors {
            return Err(Refusal::Descriptors(free.descriptors));
        }
        Ok(())
    }
}

impl FreeResources {
    /// Reads what is free now. Half of the processes that the kernel can have is reserved.
    fn now() -> Option<Self> {
        let memory = Meminfo::current().ok()?;
        let most = number("/proc/sys/kernel/pid_max")?.min(number("/proc/sys/kernel/threads-max")?);
        let load = fs::read_to_string("/proc/loadavg").ok()?;
        let running = load.split_whitespace().nth(3)?.split_once('/')?.1;
        let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
        let open = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
        Some(Self {
            memory: memory.mem_available?,
            reserved_memory: (memory.mem_total / RESERVED_PART).max(LEAST_MEMORY.as_u64()),
            processes: (most / 2).saturating_sub(running.parse().ok()?),
            descriptors: soft.saturating_sub(open + OTHER_DESCRIPTORS),
        })
    }
}

/// The number in a file of the kernel's.
fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: FreeResources = FreeResources {
        memory: 1 << 30,
        reserved_memory: 1 << 29,
        processes: 1000,
        descriptors: 800,
    };
    const GROWTH: Growth = Growth {
        more: 10,
        memory: 1e8,
        elapsed: Duration::from_secs(1),
    };

    fn check(growth: Growth, free: FreeResources) -> Result<(), Refusal> {
        Reserve::new(Profile::Quick).check_with(&growth, &free)
    }

    fn refusal(growth: Growth, free: FreeResources) -> String {
        check(growth, free).unwrap_err().to_string()
    }

    #[test]
    fn a_growth_that_leaves_enough_is_allowed() {
        assert_eq!(check(GROWTH, FREE), Ok(()));
    }

    #[test]
    fn the_host_s_free_resources_can_be_read() {
        assert!(FreeResources::now().is_some());
    }

    #[test]
    fn a_series_that_has_used_up_its_time_may_not_grow() {
        let elapsed = Duration::from_secs(3);
        let refusal = refusal(Growth { elapsed, ..GROWTH }, FREE);
        assert!(refusal.contains("had used up its 2s"), "{refusal}");
    }

    #[test]
    fn the_host_keeps_its_reserved_memory() {
        let words = "512.0 MiB of available";
        let large = Growth {
            memory: 3e8,
            ..GROWTH
        };
        let refusal_of_large = refusal(large, FREE);
        assert!(refusal_of_large.contains(words), "{refusal_of_large}");
        let full = FreeResources {
            memory: 1 << 29,
            ..FREE
        };
        let refusal_when_full = refusal(GROWTH, full);
        assert!(refusal_when_full.contains(words), "{refusal_when_full}");
    }

    #[test]
    fn the_host_keeps_processes_and_descriptors() {
        let few_processes = FreeResources {
            processes: 100,
            ..FREE
        };
        let of_processes = refusal(GROWTH, few_processes);
        assert!(
            of_processes.contains("100 more processes"),
            "{of_processes}"
        );
        let few_descriptors = FreeResources {
            descriptors: 79,
            ..FREE
        };
        let of_descriptors = refusal(GROWTH, few_descriptors);
        assert!(
            of_descriptors.contains("79 more descriptors"),
            "{of_descriptors}"
        );
    }
}
