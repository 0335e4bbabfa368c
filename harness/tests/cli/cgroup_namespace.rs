//! isobench in a cgroup namespace that its own cgroup is outside of.

use std::fs;
use std::path::{Path, PathBuf};

use isobench_container::cgroup::{Controller, Hierarchies, Version};
use isobench_testing::{Need, lacks, or_skip};

use crate::support::isobench::{ISOBENCH, WORKLOAD};
use crate::support::place::Place;

/// Cgroups in the hierarchy that accounts memory, removed when dropped.
struct Groups {
    directories: Vec<PathBuf>,
    version: Version,
}

impl Groups {
    fn new(names: &[&str]) -> Option<Self> {
        let hierarchies = Hierarchies::detect().unwrap();
        let memory = or_skip(Need::Cgroup, hierarchies.of(Controller::Memory))?;
        let base = memory
            .parent
            .join(format!("outside-{}", std::process::id()));
        let mut directories = vec![base.clone()];
        directories.extend(names.iter().map(|name| base.join(name)));
        for directory in &directories {
            fs::create_dir(directory).unwrap();
        }
        Some(Self {
            directories,
            version: memory.version,
        })
    }

    fn path(&self, name: &str) -> &Path {
        let mut all = self.directories.iter();
        all.find(|path| path.ends_with(name)).unwrap()
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for directory in self.directories.iter().rev() {
            let _ = fs::remove_dir(directory);
        }
    }
}

#[test]
fn a_cgroup_outside_of_the_namespace_is_said_and_not_looked_for_elsewhere() {
    if lacks(Need::Root) || lacks(Need::Program("unshare")) {
        return;
    }
    // The second group has the name of a directory beside the mount point.
    let Some(groups) = Groups::new(&["inside", "pids"]) else {
        return;
    };
    let place = Place::new();
    let mount = match groups.version {
        Version::V1 => "mkdir own; mount -t cgroup -o memory cgroup own; mount --move own",
        Version::V2 => "mkdir own; mount -t cgroup2 cgroup own; mount --move own",
    };
    let mut point = groups.directories[0].ancestors();
    let point = point.find(|path| is_mount_point(path)).unwrap();
    for prepared in ["true".to_owned(), format!("{mount} {}", point.display())] {
        let script = format!(
            "set -e; echo $$ > {inside}/cgroup.procs; exec unshare --mount --cgroup /bin/sh -c \
             'set -e; mount --make-rprivate /; {prepared}; echo $$ > /proc/self/fd/3; exec \"$@\"' sh \"$@\" \
             3> {outside}/cgroup.procs",
            inside = groups.path("inside").display(),
            outside = groups.path("pids").display(),
        );
        let exec = [
            "exec",
            "--target",
            "container",
            "--memory",
            "64MiB",
            "--",
            WORKLOAD,
            "ready",
        ];
        let shell = ["-c", &script, "sh", ISOBENCH];
        place
            .isobench_at("/bin/sh", &[&shell[..], &exec].concat())
            .refuses("outside of this cgroup namespace");
    }
}

/// Whether `path` is where a file system is mounted.
fn is_mount_point(path: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let point = path.to_str().unwrap();
    mounts
        .lines()
        .any(|line| line.split(' ').nth(4) == Some(point))
}
