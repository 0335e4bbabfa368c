//! The proportional set size of processes, from `/proc/PID/smaps_rollup` (proc(5)).

use std::iter::Sum;

use bytesize::ByteSize;
use nix::unistd::Pid;
use procfs::ProcResult;
use procfs::process::{Process, StatFlags, all_processes};

/// The memory that processes map. A page that `n` processes share counts as `1/n` page for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pss {
    /// The size of anonymous pages.
    pub anon: ByteSize,
    /// The size of pages of files and of shared memory.
    pub file: ByteSize,
}

impl Pss {
    /// The sum for the process `root` and all its descendants.
    ///
    /// # Errors
    /// A process has ended meanwhile, or this user may not look at a process.
    pub fn of_tree(root: Pid) -> ProcResult<Self> {
        process_tree(root)?.iter().map(Self::of_process).sum()
    }

    /// The sum for `processes`. Kernel threads count as nothing: KVM puts a kernel thread for each
    /// VM into the cgroup of the VM's process.
    ///
    /// # Errors
    /// A process has ended meanwhile, or this user may not look at a process.
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

    /// The proportional set size of one process.
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
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(Self::default(), |sum, size| Self {
            anon: sum.anon + size.anon,
            file: sum.file + size.file,
        })
    }
}

/// The process `root` and all its descendants.
///
/// # Errors
/// `/proc` can't be read.
pub fn process_tree(root: Pid) -> ProcResult<Vec<Process>> {
    // A `Process` holds a descriptor, and a host may have more processes than one process may have
    // descriptors. So only processes of the tree are kept as a `Process`.
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
        // A process that has ended meanwhile is left out.
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
    fn a_kernel_thread_counts_as_nothing() {
        if lacks(Need::KernelThreads) {
            return;
        }
        let set = |pid| Pss::of_processes(vec![pid]).unwrap();
        // The second process of a host is the kernel's.
        assert_eq!(set(Pid::from_raw(2)), Pss::default());
        assert!(set(Pid::this()).anon > ByteSize::kib(16));
    }

    #[test]
    fn a_process_tree_holds_children_and_a_process_has_a_size() {
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
        assert!(own.anon > ByteSize::kib(16), "{own:?}");
        assert!(own.file > ByteSize::kib(16), "{own:?}");
    }
}
