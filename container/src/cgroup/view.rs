//! How a container sees its own cgroups: the mounts that show them at /sys/fs/cgroup.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::CgroupError;
use super::membership::{CgroupMount, Membership, parse_memberships, parse_mounts};
use super::version::Version;

/// A hierarchy that a container sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The version of the hierarchy.
    pub version: Version,
    /// The name of its directory in /sys/fs/cgroup; empty for v2, which is mounted there itself.
    pub name: PathBuf,
    /// The controllers by which v1 finds the hierarchy at a mount; empty for v2.
    pub controllers: String,
}

impl View {
    /// The hierarchies of the cgroup directories `paths`. A directory in none is left out.
    ///
    /// # Errors
    /// /proc can't be read.
    pub fn of(paths: &[PathBuf]) -> Result<Vec<Self>, CgroupError> {
        let memberships = parse_memberships(&read("/proc/self/cgroup")?);
        let mounts = parse_mounts(&read("/proc/self/mountinfo")?);
        let views = paths.iter().filter_map(|path| {
            let around = mounts.iter().filter(|mount| path.starts_with(&mount.point));
            let mount = around.max_by_key(|mount| mount.point.as_os_str().len())?;
            view(mount, &memberships)
        });
        Ok(views.collect())
    }
}

fn view(mount: &CgroupMount, memberships: &[Membership]) -> Option<View> {
    if mount.version == Version::V2 {
        return Some(View {
            version: Version::V2,
            name: PathBuf::new(),
            controllers: String::new(),
        });
    }
    let is_of_mount = |line: &&Membership| {
        let controllers = &line.controllers;
        !controllers.is_empty() && controllers.iter().all(|name| mount.is_v1_of(name))
    };
    let line = memberships.iter().find(is_of_mount)?;
    Some(View {
        version: Version::V1,
        name: Path::new(mount.point.file_name()?).to_owned(),
        controllers: line.controllers.join(","),
    })
}

fn read(path: &str) -> Result<String, CgroupError> {
    fs::read_to_string(path).map_err(|source| CgroupError::Read {
        path: path.into(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(version: Version, point: &str, options: &[&str]) -> CgroupMount {
        CgroupMount {
            version,
            root: "/".into(),
            point: point.into(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
        }
    }

    #[test]
    fn a_hierarchy_of_v1_is_found_by_its_controllers() {
        let memberships =
            parse_memberships("4:memory:/a\n3:cpu,cpuacct:/\n1:name=systemd:/\n0::/b\n");
        let options = ["rw", "cpu", "cpuacct", "release_agent=/x"];
        let v1 = mount(Version::V1, "/sys/fs/cgroup/cpu,cpuacct", &options);
        let found = view(&v1, &memberships).unwrap();
        assert_eq!(found.name, Path::new("cpu,cpuacct"));
        assert_eq!(found.controllers, "cpu,cpuacct");
        let unknown = mount(Version::V1, "/sys/fs/cgroup/pids", &["rw", "pids"]);
        assert_eq!(view(&unknown, &memberships), None);
        let v2 = mount(Version::V2, "/sys/fs/cgroup", &["rw", "nsdelegate"]);
        assert_eq!(view(&v2, &memberships).unwrap().name, Path::new(""));
    }
}
