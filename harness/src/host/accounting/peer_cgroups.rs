//! cgroups that a peer makes in hierarchies that isobench itself doesn't use.
//!
//! A runtime gets one path for its container's cgroup. Under cgroup v1, the runtime makes this
//! cgroup and its missing parents in every hierarchy of the host. At its end, the runtime removes
//! the last directory at best, and never the parents.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use isobench_container::cgroup::Cgroup;
use procfs::ProcessCGroup;
use procfs::process::{MountInfo, Process};

use crate::host::session::{Claim, SessionName};

/// The mount points of all cgroup hierarchies, v1 and v2.
pub fn hierarchies() -> Vec<PathBuf> {
    mounts().map(|mount| mount.mount_point).collect()
}

/// The mounts of all cgroup hierarchies, v1 and v2.
fn mounts() -> impl Iterator<Item = MountInfo> {
    let mounts = Process::myself().and_then(|process| process.mountinfo());
    let is_cgroup = |mount: &MountInfo| mount.fs_type.starts_with("cgroup");
    mounts.into_iter().flatten().filter(is_cgroup)
}

/// The path of the cgroup `directory` within its hierarchy, in the form that runtimes take:
/// relative to the mount point, with a leading slash.
pub fn path_in_hierarchy(directory: &Path) -> Option<PathBuf> {
    let all = hierarchies();
    let below = all
        .iter()
        .find_map(|mount| directory.strip_prefix(mount).ok())?;
    Some(Path::new("/").join(below))
}

/// The path of the cgroup `directory` in the form that LXC takes from root: below the group of the
/// first process of this PID namespace, where LXC makes all groups. Elsewhere in the hierarchy LXC
/// makes none, and the path is that in the hierarchy.
pub fn path_below_first_process(directory: &Path) -> Option<PathBuf> {
    let path = path_in_hierarchy(directory)?;
    let mount = mounts().find(|mount| directory.starts_with(&mount.mount_point))?;
    let is_of_mount = |group: &ProcessCGroup| {
        let mut controllers = group.controllers.iter();
        let is_v2 = mount.fs_type == "cgroup2" && group.controllers.is_empty();
        is_v2 || controllers.any(|name| mount.super_options.contains_key(name))
    };
    let groups = Process::new(1).and_then(|first| first.cgroups()).ok()?;
    let first = groups.into_iter().find(is_of_mount)?.pathname;
    // LXC passes over the group that systemd gives to itself.
    let first = first.strip_suffix("/init.scope").unwrap_or(&first);
    let below = path.strip_prefix(first).map(Path::to_owned);
    Some(below.unwrap_or(path))
}

/// The directories with the same path as the cgroup `directory` in all other hierarchies, whether
/// they exist or not.
pub fn counterparts(directory: &Path) -> Vec<PathBuf> {
    let all = hierarchies();
    let Some(own) = all.iter().find(|mount| directory.starts_with(mount)) else {
        return Vec::new();
    };
    let below = directory.strip_prefix(own).unwrap_or(Path::new(""));
    let others = all.iter().filter(|mount| *mount != own);
    others.map(|mount| mount.join(below)).collect()
}

/// The cgroups that peers make for one session in the other hierarchies. Dropping the value removes
/// these cgroups.
#[derive(Debug)]
pub struct PeerCgroups {
    directories: Vec<PathBuf>,
}

impl PeerCgroups {
    /// The cgroups for the session whose own group is `directory`, in the hierarchy that accounts
    /// memory.
    pub fn of(directory: &Path) -> Self {
        Self {
            directories: counterparts(directory),
        }
    }
}

impl Drop for PeerCgroups {
    fn drop(&mut self) {
        self.directories.iter().for_each(|path| remove(path));
    }
}

/// Removes the cgroups that peers of dead sessions left in the other hierarchies. `parent` is the
/// directory of the sessions' own groups, where a session's lock is, if the session lives.
pub fn sweep(parent: &Path) {
    for directory in counterparts(parent) {
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name();
            let is_session = name.to_str().and_then(SessionName::parse).is_some();
            if is_session && has_no_session(&parent.join(&name)) {
                remove(&entry.path());
            }
        }
    }
}

/// Whether the session whose own group is `directory` is gone: with its group, or without.
fn has_no_session(directory: &Path) -> bool {
    match Claim::take(directory) {
        Ok(claim) => claim.is_some(),
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

/// Kills the processes of a cgroup and removes the cgroup. Parents that are empty then are removed
/// as well, because a peer made them. The kernel refuses to remove a cgroup that isn't empty, so
/// the loop ends there.
fn remove(directory: &Path) {
    let Ok(cgroup) = Cgroup::adopt(directory.to_owned()) else {
        return;
    };
    drop(cgroup);
    for parent in directory.ancestors().skip(1) {
        if fs::remove_dir(parent).is_err() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use isobench_testing::{Need, or_skip};

    use super::*;

    #[test]
    fn a_directory_has_a_counterpart_in_each_other_hierarchy() {
        let all = hierarchies();
        let first = all.first().ok_or("no cgroup hierarchy is mounted");
        let Some(first) = or_skip(Need::Cgroup, first) else {
            return;
        };
        let directory = first.join("a/b");
        assert_eq!(
            path_in_hierarchy(&directory).as_deref(),
            Some(Path::new("/a/b"))
        );
        let others = counterparts(&directory);
        assert_eq!(others.len(), all.len() - 1);
        assert!(others.iter().all(|path| path.ends_with("a/b")));
        assert_eq!(path_in_hierarchy(Path::new("/no/such")), None);
    }
}
