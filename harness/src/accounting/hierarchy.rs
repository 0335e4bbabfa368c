//! Which cgroup hierarchies there are, and where in them this process may make groups.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use procfs::process::{MountInfo, Process};

use super::{AccountingError, write};

/// Controllers used: memory is accounted, and the container limits both.
const CONTROLLERS: [&str; 2] = ["memory", "pids"];

/// The hierarchies in which groups are made (cgroups(7)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hierarchies {
    /// One for each controller.
    V1 {
        /// This process's cgroup of the memory controller.
        memory: PathBuf,
        /// This process's cgroup of the pids controller.
        pids: Option<PathBuf>,
    },
    /// One for all.
    V2 {
        /// The cgroup under which this process may make others.
        base: PathBuf,
        /// This process's own.
        own: PathBuf,
    },
}

impl Hierarchies {
    /// Looks where the memory controller is.
    ///
    /// # Errors
    /// [`AccountingError::NoController`], or `/proc` can't be read.
    pub fn find() -> Result<Self, AccountingError> {
        let process = Process::myself()?;
        let mounts = process.mountinfo()?.0;
        let own: Vec<(Vec<String>, String)> = process
            .cgroups()?
            .0
            .into_iter()
            .map(|group| (group.controllers, group.pathname))
            .collect();
        Self::choose(&mounts, &own).ok_or(AccountingError::NoController)
    }

    fn choose(mounts: &[MountInfo], own: &[(Vec<String>, String)]) -> Option<Self> {
        if let Some(memory) = v1_directory(mounts, own, "memory") {
            let pids = v1_directory(mounts, own, "pids");
            return Some(Self::V1 { memory, pids });
        }
        let mount = mounts.iter().find(|mount| mount.fs_type == "cgroup2")?;
        let (_, path) = own
            .iter()
            .find(|(controllers, _)| controllers.iter().all(String::is_empty))?;
        let own = below(mount, path)?;
        let base = v2_base(&own, &mount.mount_point)?;
        Some(Self::V2 { base, own })
    }

    /// The directories under which a run's groups are made, the accounting one first.
    pub(super) fn bases(&self) -> Vec<&Path> {
        match self {
            Self::V1 { memory, pids } => std::iter::once(memory.as_path())
                .chain(pids.as_deref())
                .collect(),
            Self::V2 { base, .. } => vec![base],
        }
    }

    /// The `cgroup.procs` that this process came from, for going back.
    pub(super) fn home(&self) -> PathBuf {
        let own = match self {
            Self::V1 { memory, .. } => memory,
            Self::V2 { own, .. } => own,
        };
        own.join("cgroup.procs")
    }

    /// Lets the groups below `name` use the controllers; v1 needs no such thing.
    pub(super) fn delegate(&self, name: &str) -> Result<(), AccountingError> {
        if let Self::V2 { base, .. } = self {
            enable_controllers(base)?;
            enable_controllers(&base.join(name))?;
        }
        Ok(())
    }
}

impl fmt::Display for Hierarchies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V1 { pids: Some(_), .. } => f.write_str("v1 with memory and pids"),
            Self::V1 { pids: None, .. } => f.write_str("v1 with memory, without pids"),
            Self::V2 { .. } => f.write_str("v2"),
        }
    }
}

fn enable_controllers(directory: &Path) -> Result<(), AccountingError> {
    let file = directory.join("cgroup.subtree_control");
    let enabled = fs::read_to_string(&file).unwrap_or_default();
    for controller in CONTROLLERS {
        if !enabled.split_whitespace().any(|name| name == controller) {
            write(file.clone(), &format!("+{controller}"))?;
        }
    }
    Ok(())
}

fn v1_directory(
    mounts: &[MountInfo],
    own: &[(Vec<String>, String)],
    controller: &str,
) -> Option<PathBuf> {
    let mount = mounts
        .iter()
        .find(|mount| mount.fs_type == "cgroup" && mount.super_options.contains_key(controller))?;
    let (_, path) = own
        .iter()
        .find(|(controllers, _)| controllers.iter().any(|name| name == controller))?;
    below(mount, path)
}

/// Where the cgroup `path` is seen through `mount`, which may show a part of the hierarchy only.
fn below(mount: &MountInfo, path: &str) -> Option<PathBuf> {
    let inside = Path::new(path).strip_prefix(&mount.root).ok()?;
    Some(mount.mount_point.join(inside))
}

/// In v2 a cgroup with processes can't hand controllers to children, the root excepted: so siblings are made.
fn v2_base(own: &Path, mount_point: &Path) -> Option<PathBuf> {
    let controllers = fs::read_to_string(own.join("cgroup.controllers")).ok()?;
    if !controllers.split_whitespace().any(|name| name == "memory") {
        return None;
    }
    if own == mount_point {
        Some(own.to_owned())
    } else {
        own.parent().map(Path::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use procfs::FromRead as _;
    use procfs::process::MountInfos;

    use super::*;

    fn mounts(text: &str) -> Vec<MountInfo> {
        MountInfos::from_read(text.as_bytes()).unwrap().0
    }

    #[test]
    fn v1_is_found_beside_a_v2_without_controllers() {
        let mounts = mounts(
            "30 20 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
             31 20 0:27 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n\
             32 20 0:28 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
        );
        let own = [
            (vec!["memory".to_owned()], "/job".to_owned()),
            (vec!["pids".to_owned()], "/".to_owned()),
            (vec![String::new()], "/".to_owned()),
        ];
        assert_eq!(
            Hierarchies::choose(&mounts, &own),
            Some(Hierarchies::V1 {
                memory: "/sys/fs/cgroup/memory/job".into(),
                pids: Some("/sys/fs/cgroup/pids".into()),
            })
        );
    }

    #[test]
    fn a_mount_of_a_part_shows_paths_below_that_part() {
        let mount =
            &mounts("30 20 0:26 /job /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n")[0];
        assert_eq!(
            below(mount, "/job/a"),
            Some("/sys/fs/cgroup/memory/a".into())
        );
        assert_eq!(below(mount, "/other"), None);
    }

    #[test]
    fn a_host_without_the_memory_controller_has_none() {
        let mounts = mounts("32 20 0:28 / /no/such/cgroup rw,relatime - cgroup2 cgroup2 rw\n");
        assert_eq!(
            Hierarchies::choose(&mounts, &[(vec![String::new()], "/".to_owned())]),
            None
        );
    }
}
