//! cgroups that a peer makes in hierarchies that isobench itself doesn't use.
//!
//! A runtime is told one path for its container's cgroup, and under v1 makes it in every hierarchy of the host, with
//! all directories on the way. It removes the last of them at best.

use std::fs;
use std::path::{Path, PathBuf};

use isobench_container::cgroup::Cgroup;
use procfs::process::{MountInfo, Process};

/// The mounted cgroup hierarchies, v1's and v2's.
pub fn hierarchies() -> Vec<PathBuf> {
    let mounts = Process::myself().and_then(|process| process.mountinfo());
    let is_cgroup = |mount: &MountInfo| mount.fs_type.starts_with("cgroup");
    let mounts = mounts.into_iter().flatten().filter(is_cgroup);
    mounts.map(|mount| mount.mount_point).collect()
}

/// The place of the cgroup `directory` within its hierarchy, as runtimes take it: from the mount point on, with a slash
/// before it.
pub fn path_in_hierarchy(directory: &Path) -> Option<PathBuf> {
    let all = hierarchies();
    let below = all
        .iter()
        .find_map(|mount| directory.strip_prefix(mount).ok())?;
    Some(Path::new("/").join(below))
}

/// The directories that stand in the other hierarchies where the cgroup `directory` stands in its own, whether they
/// exist or not.
pub fn elsewhere(directory: &Path) -> Vec<PathBuf> {
    let all = hierarchies();
    let Some(own) = all.iter().find(|mount| directory.starts_with(mount)) else {
        return Vec::new();
    };
    let below = directory.strip_prefix(own).unwrap_or(Path::new(""));
    let others = all.iter().filter(|mount| *mount != own);
    others.map(|mount| mount.join(below)).collect()
}

/// What peers make for one session beside its own group; dropping it removes that.
#[derive(Debug)]
pub struct Strays {
    directories: Vec<PathBuf>,
}

impl Strays {
    /// Those of the session whose group is `directory` in the hierarchy that accounts memory.
    pub fn of(directory: &Path) -> Self {
        Self {
            directories: elsewhere(directory),
        }
    }
}

impl Drop for Strays {
    fn drop(&mut self) {
        self.directories.iter().for_each(|path| remove(path));
    }
}

/// Removes what peers of dead sessions left in the other hierarchies, where `parent` stands for the directory that holds
/// the sessions' own groups.
pub fn sweep(parent: &Path, dead: impl Fn(&str) -> bool) {
    for directory in elsewhere(parent) {
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        let is_dead = |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(&dead);
        for entry in entries.filter(is_dead) {
            remove(&entry.path());
        }
    }
}

/// Kills what is in the cgroup and removes it, and those above it in which there is nothing else: a peer made them on
/// the way to it. A cgroup that holds processes or others isn't removed, says the kernel.
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
    fn a_place_is_found_again_in_the_other_hierarchies() {
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
        let others = elsewhere(&directory);
        assert_eq!(others.len(), all.len() - 1);
        assert!(others.iter().all(|path| path.ends_with("a/b")));
        assert_eq!(path_in_hierarchy(Path::new("/no/such")), None);
    }
}
