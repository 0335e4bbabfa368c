//! Proportional set size of processes, from `/proc/PID/smaps_rollup` (proc(5)).

use std::iter::Sum;

use bytesize::ByteSize;
use nix::unistd::Pid;
use procfs::ProcResult;
use procfs::process::{Process, StatFlags, all_processes};

/// Memory that processes map; a page shared by `n` processes counts as `1/n` of itself for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pss {
    /// Anonymous pages.
    pub anon: ByteSize,
    /// Pages of files and of shared memory.
    pub file: ByteSize,
}

impl Pss {
    /// The sum of the sets of `root` and all its descendants.
    ///
    /// # Errors
    /// One has gone meanwhile, or isn't ours to look at.
    pub fn of_tree(root: Pid) -> ProcResult<Self> {
        process_tree(root)?.iter().map(Self::of_process).sum()
    }

    /// The sum of the sets of `processes`, of which a thread of the kernel's has none: KVM puts one for each VM into the
    /// cgroup of its process.
    ///
    /// # Errors
    /// One has gone meanwhile, or isn't ours to look at.
    pub fn of_processes(processes: Vec<Pid>) -> ProcResult<Self> {
        let each = processes.into_iter();
        each.map(|pid| {
            let process = Process::new(pid.as_raw())?;
            if process.stat()?.flags()?.contains(StatFlags::PF_KTHREAD) {
                return Ok(Self::default());
            }
            Self::of_process(&process)
        })
        .sum()
    }

    /// The set of one process.
    fn of_process(process: &Process) -> ProcResult<Self> {
        let rollup = process.smaps_rollup()?.memory_map_rollup;
        let sum = |field: &str| {
            let values = rollup.iter().filter_map(|map| map.extension.map.get(field));
            ByteSize::b(values.sum())
        };
        Ok(Self {
            anon: sum("Pss_Anon"),
            file: sum("Pss_File") + sum("Pss_Shmem"),
        })
    }
}

impl Sum for Pss {
    fn sum<I: Iterator<Item = Self>>(sets: I) -> Self {
        sets.fold(Self::default(), |sum, set| Self {
            anon: sum.anon + set.anon,
            file: sum.file + set.file,
        })
    }
}

/// The process `root` and all its descendants.
///
/// # Errors
/// `/proc` can't be read.
pub fn process_tree(root: Pid) -> ProcResult<Vec<Process>> {
    // A `Process` holds a descriptor, of which there may be fewer than processes on a host: only those of the tree are kept.
    let mut others: Vec<(i32, i32)> = all_processes()?
        .flatten()
        .filter_map(|process| Some((process.stat().ok()?.ppid, process.pid)))
        .collect();
    let mut tree = vec![Process::new(root.as_raw())?];
    let mut next = 0;
    while next < tree.len() {
        let parent = tree[next].pid;
        let (children, rest): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|(ppid, _)| *ppid == parent);
        // One that has ended meanwhile is no longer in it.
        tree.extend(
            children
                .into_iter()
                .filter_map(|(_, pid)| Process::new(pid).ok()),
        );
        others = rest;
        next += 1;
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use isobench_testing::{Need, lacks};

    use super::*;

    #[test]
    fn a_thread_of_the_kernel_has_no_memory() {
        if lacks(Need::KernelThreads) {
            return;
        }
        let set = |pid| Pss::of_processes(vec![pid]).unwrap();
        // The second process of a host is the kernel's.
        assert_eq!(set(Pid::from_raw(2)), Pss::default());
        assert!(set(Pid::this()).anon > ByteSize::kib(16));
    }

    #[test]
    fn a_tree_holds_children_and_has_a_size() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let tree = process_tree(Pid::this()).unwrap();
        let pids: Vec<_> = tree.iter().map(|process| process.pid).collect();
        let own = Pss::of_process(&Process::myself().unwrap()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(pids.contains(&child.id().try_into().unwrap()), "{pids:?}");
        assert!(
            own.anon > ByteSize::kib(16) && own.file > ByteSize::kib(16),
            "{own:?}"
        );
    }
}
