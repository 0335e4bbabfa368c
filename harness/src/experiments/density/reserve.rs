//! What is left to the host, whatever is measured: memory, processes, descriptors, and the user's time.

use std::fmt;
use std::fs;
use std::time::Duration;

use bytesize::ByteSize;
use nix::sys::resource::{Resource, getrlimit};
use procfs::{Current as _, Meminfo};

use crate::experiments::profile::Profile;

/// Available memory that is left alone: this, or an eighth of all, whichever is more.
const LEAST_MEMORY: ByteSize = ByteSize::mib(512);
const SHARE_OF_MEMORY: u64 = 8;
/// By how much a step may cost more than those before it.
const MARGIN: f64 = 2.0;
/// Processes and threads that one instance may have.
const PROCESSES: u64 = 16;
/// Descriptors of the harness for one instance, and for everything else.
const DESCRIPTORS: u64 = 8;
const OTHER_DESCRIPTORS: u64 = 64;

/// What the next step would take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Instances to be started.
    pub more: u32,
    /// Bytes that they would need if they are as large as those before.
    pub memory: f64,
    /// What the series has taken so far.
    pub elapsed: Duration,
}

/// What the host has.
#[derive(Debug, Clone, Copy)]
struct Free {
    memory: u64,
    least_memory: u64,
    processes: u64,
    descriptors: u64,
}

/// Why a step is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The series has taken its time.
    Time(Duration),
    /// Memory would run short.
    Memory(ByteSize),
    /// Processes would.
    Processes(u64),
    /// Descriptors would.
    Descriptors(u64),
    /// What the host has left isn't known.
    Unknown,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not started: ")?;
        match self {
            Self::Time(limit) => write!(f, "the series had taken its {limit:?}"),
            Self::Memory(least) => write!(
                f,
                "less than {} of available memory might have been left",
                least.display().iec()
            ),
            Self::Processes(free) => write!(f, "the kernel has room for {free} more processes"),
            Self::Descriptors(free) => {
                write!(
                    f,
                    "this process may open {free} more descriptors; raise `ulimit -n`"
                )
            }
            Self::Unknown => f.write_str("how much memory the host has left can't be read"),
        }
    }
}

/// When to stop.
#[derive(Debug)]
pub(super) struct Reserve {
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

    /// Whether the host, as it is now, can bear the step.
    pub(super) fn allows(&self, step: &Step) -> Result<(), Refusal> {
        self.judge(step, &Free::now().ok_or(Refusal::Unknown)?)
    }

    fn judge(&self, step: &Step, free: &Free) -> Result<(), Refusal> {
        if step.elapsed > self.time {
            return Err(Refusal::Time(self.time));
        }
        let left = free.memory.saturating_sub(free.least_memory);
        if left == 0 || step.memory * MARGIN > left as f64 {
            return Err(Refusal::Memory(ByteSize(free.least_memory)));
        }
        let more = u64::from(step.more);
        if more * PROCESSES > free.processes {
            return Err(Refusal::Processes(free.processes));
        }
        if more * DESCRIPTORS > free.descriptors {
            return Err(Refusal::Descriptors(free.descriptors));
        }
        Ok(())
    }
}

impl Free {
    /// Half of the processes that the kernel can have stays out of reach.
    fn now() -> Option<Self> {
        let memory = Meminfo::current().ok()?;
        let most = number("/proc/sys/kernel/pid_max")?.min(number("/proc/sys/kernel/threads-max")?);
        let load = fs::read_to_string("/proc/loadavg").ok()?;
        let running = load.split_whitespace().nth(3)?.split_once('/')?.1;
        let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
        let open = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
        Some(Self {
            memory: memory.mem_available?,
            least_memory: (memory.mem_total / SHARE_OF_MEMORY).max(LEAST_MEMORY.as_u64()),
            processes: (most / 2).saturating_sub(running.parse().ok()?),
            descriptors: soft.saturating_sub(open + OTHER_DESCRIPTORS),
        })
    }
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Free = Free {
        memory: 1 << 30,
        least_memory: 1 << 29,
        processes: 1000,
        descriptors: 800,
    };

    fn judge(step: Step, free: Free) -> Result<(), Refusal> {
        Reserve::new(Profile::Quick).judge(&step, &free)
    }

    #[test]
    fn a_step_that_leaves_enough_is_taken() {
        let step = Step {
            more: 10,
            memory: 1e8,
            elapsed: Duration::from_secs(1),
        };
        assert_eq!(judge(step, FREE), Ok(()));
        assert!(Free::now().is_some());
    }

    #[test]
    fn the_host_keeps_its_share_of_everything() {
        let step = Step {
            more: 10,
            memory: 1e8,
            elapsed: Duration::ZERO,
        };
        let late = Duration::from_secs(3);
        for (step, free, words) in [
            (
                Step {
                    elapsed: late,
                    ..step
                },
                FREE,
                "had taken its 2s",
            ),
            (
                Step {
                    memory: 3e8,
                    ..step
                },
                FREE,
                "512.0 MiB of available",
            ),
            (
                step,
                Free {
                    memory: 1 << 29,
                    ..FREE
                },
                "512.0 MiB of available",
            ),
            (
                step,
                Free {
                    processes: 100,
                    ..FREE
                },
                "100 more processes",
            ),
            (
                step,
                Free {
                    descriptors: 79,
                    ..FREE
                },
                "79 more descriptors",
            ),
        ] {
            let refusal = judge(step, free).unwrap_err().to_string();
            assert!(refusal.contains(words), "{refusal}");
        }
    }
}
