//! Reading /proc/self/cgroup, which names this process's group in each hierarchy, and
//! /proc/self/mountinfo, which says where each hierarchy is mounted.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use super::version::Version;

/// One line of /proc/self/cgroup: this process's group in one hierarchy.
#[derive(Debug, PartialEq, Eq)]
pub struct Membership {
    /// The controllers of the hierarchy; none for v2.
    pub controllers: Vec<String>,
    /// The path of the group, from the hierarchy's root on.
    pub path: PathBuf,
}

impl Membership {
    /// Whether this is the hierarchy of v1 that has `controller`.
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|known| known == controller)
    }
}

/// Reads /proc/self/cgroup (cgroups(7)). A line that is none of the format is skipped.
pub fn parse_memberships(text: &str) -> Vec<Membership> {
    let parse = |line: &str| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Membership {
            controllers: controllers
                .split(',')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            path: path.into(),
        })
    };
    text.lines().filter_map(parse).collect()
}

/// A cgroup file system in /proc/self/mountinfo.
#[derive(Debug, PartialEq, Eq)]
pub struct CgroupMount {
    /// The version of the hierarchy.
    pub version: Version,
    /// The group of the hierarchy that is at the mount point.
    pub root: PathBuf,
    /// The mount point.
    pub point: PathBuf,
    /// The options of the super block. Under v1 the controllers are among them.
    pub options: Vec<String>,
}

impl CgroupMount {
    /// The directory of the group `path` of this hierarchy; `None` if the mount doesn't show the
    /// group. Both paths are seen from the root of this process's cgroup namespace: a group outside
    /// of it begins with `/..` (`cgroup_namespaces(7)`), which leads out of the mount here.
    pub fn directory(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.root).ok()?;
        let leads_out = below.components().any(|part| part == Component::ParentDir);
        (!leads_out).then(|| self.point.join(below))
    }

    /// Whether this is the hierarchy of v1 that has `controller`.
    pub fn is_v1_of(&self, controller: &str) -> bool {
        self.version == Version::V1 && self.options.iter().any(|option| option == controller)
    }
}

/// Finds the cgroup mounts in /proc/self/mountinfo (`proc_pid_mountinfo(5)`).
pub fn parse_mounts(text: &str) -> Vec<CgroupMount> {
    let parse = |line: &str| {
        let (front, back) = line.split_once(" - ")?;
        let mut back = back.split(' ');
        let version = match back.next()? {
            "cgroup" => Version::V1,
            "cgroup2" => Version::V2,
            _ => return None,
        };
        let mut front = front.split(' ').skip(3);
        Some(CgroupMount {
            version,
            root: unescape(front.next()?),
            point: unescape(front.next()?),
            options: back.nth(1)?.split(',').map(str::to_owned).collect(),
        })
    };
    text.lines().filter_map(parse).collect()
}

/// Undoes the octal escapes of mountinfo (`\040` is a space).
fn unescape(field: &str) -> PathBuf {
    let bytes = field.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'\\')
            .then(|| tail.get(..3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[3..] } else { tail };
    }
    OsString::from_vec(plain).into()
}
