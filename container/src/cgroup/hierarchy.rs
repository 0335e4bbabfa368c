//! Finding the cgroup hierarchies in which this process may make groups.
//!
//! /proc/self/cgroup says in which group we are in each hierarchy, /proc/self/mountinfo where each is mounted. Under v1
//! the new group goes below our own. Under v2 a group that holds processes can't have children with controllers (the
//! no-internal-process rule), so it goes below the nearest ancestor that hands the controllers on, which is a sibling
//! of ours as a rule.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::{CgroupError, Controller, Version};

/// A hierarchy that has the controller asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its interface.
    pub version: Version,
    /// The directory below which new groups go.
    pub parent: PathBuf,
    /// The directory of the group that this process is in.
    pub home: PathBuf,
}

/// Where groups can be made, for each controller; or why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchies {
    /// For memory.
    pub memory: Result<Hierarchy, Unusable>,
    /// For processes.
    pub pids: Result<Hierarchy, Unusable>,
}

/// Why a controller can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is")]
pub enum Unusable {
    #[error("no mounted cgroup hierarchy has the {controller} controller")]
    NotMounted { controller: &'static str },
    #[error("{path:?} is not writable: delegate a cgroup to this user, or run as root")]
    NotWritable { path: PathBuf },
    #[error(
        "the {controller} controller is not handed on at or above {path:?}: run in a delegated cgroup (systemd-run --scope -p Delegate=yes)"
    )]
    NotDelegated {
        controller: &'static str,
        path: PathBuf,
    },
}

impl Hierarchies {
    /// Looks at this process and this host.
    ///
    /// # Errors
    /// /proc can't be read.
    pub fn detect() -> Result<Self, CgroupError> {
        let memberships = parse_memberships(&read("/proc/self/cgroup")?);
        let mounts = parse_mounts(&read("/proc/self/mountinfo")?);
        let find = |controller| find(controller, &memberships, &mounts);
        Ok(Self {
            memory: find(Controller::Memory),
            pids: find(Controller::Pids),
        })
    }

    /// The directories below which a group goes that is to have all usable controllers, each once.
    pub fn parents(&self) -> Vec<&Path> {
        let mut parents: Vec<&Path> = Vec::new();
        for hierarchy in [&self.memory, &self.pids].into_iter().flatten() {
            if !parents.contains(&hierarchy.parent.as_path()) {
                parents.push(&hierarchy.parent);
            }
        }
        parents
    }
}

fn read(path: &str) -> Result<String, CgroupError> {
    fs::read_to_string(path).map_err(|source| CgroupError::Read {
        path: path.into(),
        source,
    })
}

/// One line of /proc/self/cgroup: our group in one hierarchy.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Membership {
    /// Its controllers; none for v2.
    pub controllers: Vec<String>,
    /// Our group, from the hierarchy's root.
    pub path: PathBuf,
}

pub(super) fn parse_memberships(text: &str) -> Vec<Membership> {
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
pub(super) struct CgroupMount {
    pub version: Version,
    /// Which of the hierarchy's groups is at the mount point.
    pub root: PathBuf,
    pub point: PathBuf,
    /// The super block's options: v1's controllers are among them.
    pub options: Vec<String>,
}

/// Finds the cgroup mounts, as `proc_pid_mountinfo(5)` describes the lines.
pub(super) fn parse_mounts(text: &str) -> Vec<CgroupMount> {
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

/// Undoes mountinfo's octal escapes (`\040` is a space).
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

fn find(
    controller: Controller,
    memberships: &[Membership],
    mounts: &[CgroupMount],
) -> Result<Hierarchy, Unusable> {
    let name = controller.name();
    let v1 = mounts.iter().find(|mount| {
        mount.version == Version::V1 && mount.options.iter().any(|option| option == name)
    });
    if let Some(mount) = v1 {
        let ours = memberships
            .iter()
            .find(|line| line.controllers.iter().any(|known| known == name));
        let parent = ours.map_or_else(|| mount.point.clone(), |line| mount.directory(&line.path));
        return writable(Hierarchy {
            version: Version::V1,
            home: parent.clone(),
            parent,
        });
    }
    let v2 = mounts
        .iter()
        .find(|mount| mount.version == Version::V2 && mount.has(name));
    let mount = v2.ok_or(Unusable::NotMounted { controller: name })?;
    let ours = memberships.iter().find(|line| line.controllers.is_empty());
    let directory = ours.map_or_else(|| mount.point.clone(), |line| mount.directory(&line.path));
    handing_on(name, mount, &directory)
}

/// The nearest of `from` and its ancestors that hands `controller` on to its children.
fn handing_on(
    controller: &'static str,
    mount: &CgroupMount,
    from: &Path,
) -> Result<Hierarchy, Unusable> {
    let ancestors = from
        .ancestors()
        .take_while(|path| path.starts_with(&mount.point));
    for directory in ancestors {
        if lists(&directory.join("cgroup.subtree_control"), controller) {
            return writable(Hierarchy {
                version: Version::V2,
                parent: directory.to_owned(),
                home: from.to_owned(),
            });
        }
    }
    // Only the real root may both hold processes and hand controllers on; it has no cgroup.type file.
    let root = &mount.point;
    let request = format!("+{controller}");
    if !root.join("cgroup.type").exists()
        && fs::write(root.join("cgroup.subtree_control"), request).is_ok()
    {
        return Ok(Hierarchy {
            version: Version::V2,
            parent: root.clone(),
            home: from.to_owned(),
        });
    }
    Err(Unusable::NotDelegated {
        controller,
        path: from.to_owned(),
    })
}

fn lists(file: &Path, controller: &str) -> bool {
    fs::read_to_string(file)
        .is_ok_and(|text| text.split_whitespace().any(|name| name == controller))
}

fn writable(hierarchy: Hierarchy) -> Result<Hierarchy, Unusable> {
    match access(&hierarchy.parent, AccessFlags::W_OK) {
        Ok(()) => Ok(hierarchy),
        Err(_) => Err(Unusable::NotWritable {
            path: hierarchy.parent,
        }),
    }
}

impl CgroupMount {
    /// Where the group `path` of this hierarchy is in the file system.
    pub(super) fn directory(&self, path: &Path) -> PathBuf {
        let below = path.strip_prefix(&self.root).unwrap_or(Path::new(""));
        self.point.join(below)
    }

    /// Whether this v2 mount has `controller`.
    fn has(&self, controller: &str) -> bool {
        lists(&self.point.join("cgroup.controllers"), controller)
    }
}
