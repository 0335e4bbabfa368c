//! Finding the cgroup hierarchies in which this process may make groups.
//!
//! Under v1 each controller has a hierarchy of its own, or shares one, and the new group goes below our own. Under v2 a
//! group that holds processes can't have children with controllers (the no-internal-process rule), so it goes below the
//! nearest ancestor that hands the controllers on, which is a sibling of ours as a rule. Only the controllers asked for
//! are looked for: each hierarchy costs a start another directory to make and to join, and under v2 each controller
//! handed on costs what it accounts.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::membership::{CgroupMount, Membership, parse_memberships, parse_mounts};
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

/// Where groups can be made, for each controller asked for; or why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchies {
    found: Vec<(Controller, Result<Hierarchy, Unusable>)>,
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
    /// Looks at this process and this host for the controllers of memory and of processes.
    ///
    /// # Errors
    /// /proc can't be read.
    pub fn detect() -> Result<Self, CgroupError> {
        Self::detect_for(&[Controller::Memory, Controller::Pids])
    }

    /// Looks for `controllers`.
    ///
    /// # Errors
    /// /proc can't be read.
    pub fn detect_for(controllers: &[Controller]) -> Result<Self, CgroupError> {
        let memberships = parse_memberships(&read("/proc/self/cgroup")?);
        let mounts = parse_mounts(&read("/proc/self/mountinfo")?);
        Ok(Self {
            found: find_all(controllers, &memberships, &mounts),
        })
    }

    /// Where a group goes that has `controller`.
    ///
    /// # Errors
    /// Why there is no such place. A controller that wasn't asked for is not there.
    pub fn of(&self, controller: Controller) -> Result<&Hierarchy, Unusable> {
        let found = self.found.iter().find(|(known, _)| *known == controller);
        match found {
            Some((_, result)) => result.as_ref().map_err(Clone::clone),
            None => Err(not_mounted(controller)),
        }
    }

    /// The controllers that were asked for and can be used.
    pub fn usable(&self) -> impl Iterator<Item = Controller> {
        let usable = self.found.iter().filter(|(_, result)| result.is_ok());
        usable.map(|(controller, _)| *controller)
    }

    /// The directories below which a group goes that is to have all usable controllers, each once.
    pub fn parents(&self) -> Vec<&Path> {
        let mut parents: Vec<&Path> = Vec::new();
        for hierarchy in self.found.iter().flat_map(|(_, result)| result) {
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

fn not_mounted(controller: Controller) -> Unusable {
    Unusable::NotMounted {
        controller: controller.name(),
    }
}

/// Each controller's place. All that v2 has go to one, since a process is in one group of a hierarchy.
fn find_all(
    controllers: &[Controller],
    memberships: &[Membership],
    mounts: &[CgroupMount],
) -> Vec<(Controller, Result<Hierarchy, Unusable>)> {
    let v1 = |controller: Controller| {
        let name = controller.v1_name();
        mounts.iter().find(|mount| mount.is_v1_of(name))
    };
    let unified: Vec<Controller> = controllers
        .iter()
        .copied()
        .filter(|controller| v1(*controller).is_none())
        .collect();
    let v2 = mounts.iter().find(|mount| mount.version == Version::V2);
    let place = v2.map(|mount| Unified::find(mount, memberships, &unified));
    let find = |controller: Controller| match (v1(controller), &place) {
        (Some(mount), _) => below_ours(controller, mount, memberships),
        (None, Some(place)) => place.of(controller),
        (None, None) => Err(not_mounted(controller)),
    };
    controllers
        .iter()
        .map(|controller| (*controller, find(*controller)))
        .collect()
}

/// Our own group in the v1 hierarchy `mount`.
fn below_ours(
    controller: Controller,
    mount: &CgroupMount,
    memberships: &[Membership],
) -> Result<Hierarchy, Unusable> {
    let name = controller.v1_name();
    let ours = memberships
        .iter()
        .find(|line| line.controllers.iter().any(|known| known == name));
    let parent = ours.map_or_else(|| mount.point.clone(), |line| mount.directory(&line.path));
    writable(Hierarchy {
        version: Version::V1,
        home: parent.clone(),
        parent,
    })
}

/// The place for a group in the v2 hierarchy.
struct Unified<'a> {
    mount: &'a CgroupMount,
    home: PathBuf,
    /// The directory that hands controllers on, if any does.
    parent: Option<PathBuf>,
}

impl<'a> Unified<'a> {
    /// The nearest of our group and its ancestors that hands on all of `wanted` that this hierarchy has; else the
    /// nearest that hands on the first of them.
    fn find(mount: &'a CgroupMount, memberships: &[Membership], wanted: &[Controller]) -> Self {
        let ours = memberships.iter().find(|line| line.controllers.is_empty());
        let home = ours.map_or_else(|| mount.point.clone(), |line| mount.directory(&line.path));
        let known = names_in(&mount.point.join("cgroup.controllers"));
        let mut names: Vec<&str> = wanted.iter().filter_map(|one| one.v2_name()).collect();
        names.retain(|name| known.iter().any(|other| other == name));
        let parent = handing_on(mount, &home, &names)
            .or_else(|| enable_at_root(mount, &names))
            .or_else(|| handing_on(mount, &home, names.get(..1)?));
        Self {
            mount,
            home,
            parent,
        }
    }

    fn of(&self, controller: Controller) -> Result<Hierarchy, Unusable> {
        let not_delegated = || Unusable::NotDelegated {
            controller: controller.name(),
            path: self.home.clone(),
        };
        let has = |directory: &Path, file: &str| {
            let names = names_in(&directory.join(file));
            controller
                .v2_name()
                .is_none_or(|name| names.iter().any(|known| known == name))
        };
        if !has(&self.mount.point, "cgroup.controllers") {
            return Err(not_mounted(controller));
        }
        let parent = self.parent.as_ref().ok_or_else(not_delegated)?;
        if !has(parent, "cgroup.subtree_control") {
            return Err(not_delegated());
        }
        writable(Hierarchy {
            version: Version::V2,
            parent: parent.clone(),
            home: self.home.clone(),
        })
    }
}

/// The nearest of `from` and its ancestors that hands `names` on to its children.
fn handing_on(mount: &CgroupMount, from: &Path, names: &[&str]) -> Option<PathBuf> {
    let mut ancestors = from
        .ancestors()
        .take_while(|path| path.starts_with(&mount.point));
    let found = ancestors.find(|directory| {
        let handed_on = names_in(&directory.join("cgroup.subtree_control"));
        !names.is_empty()
            && names
                .iter()
                .all(|name| handed_on.iter().any(|one| one == name))
    });
    found.map(Path::to_owned)
}

/// Has the root hand `names` on: the only group that may both do that and hold processes. It has no cgroup.type file.
fn enable_at_root(mount: &CgroupMount, names: &[&str]) -> Option<PathBuf> {
    let root = &mount.point;
    if names.is_empty() || root.join("cgroup.type").exists() {
        return None;
    }
    let request: Vec<String> = names.iter().map(|name| format!("+{name}")).collect();
    fs::write(root.join("cgroup.subtree_control"), request.join(" ")).ok()?;
    Some(root.clone())
}

/// The words in `file`; none if it can't be read.
fn names_in(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

fn writable(hierarchy: Hierarchy) -> Result<Hierarchy, Unusable> {
    match access(&hierarchy.parent, AccessFlags::W_OK) {
        Ok(()) => Ok(hierarchy),
        Err(_) => Err(Unusable::NotWritable {
            path: hierarchy.parent,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that looks like a v2 hierarchy: groups, and what each hands on.
    fn unified(groups: &[(&str, &str)]) -> (tempfile::TempDir, Vec<CgroupMount>) {
        let directory = tempfile::tempdir().unwrap();
        for (group, handed_on) in groups {
            let path = directory.path().join(group);
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("cgroup.subtree_control"), handed_on).unwrap();
            fs::write(path.join("cgroup.type"), "domain").unwrap();
        }
        fs::write(
            directory.path().join("cgroup.controllers"),
            "cpu io memory pids",
        )
        .unwrap();
        let mount = CgroupMount {
            version: Version::V2,
            root: "/".into(),
            point: directory.path().to_owned(),
            options: vec!["rw".to_owned()],
        };
        (directory, vec![mount])
    }

    fn places(controllers: &[Controller], mounts: &[CgroupMount]) -> Vec<Result<PathBuf, String>> {
        let memberships = parse_memberships("0::/user/app\n");
        find_all(controllers, &memberships, mounts)
            .into_iter()
            .map(|(_, found)| {
                found
                    .map(|place| place.parent)
                    .map_err(|reason| reason.to_string())
            })
            .collect()
    }

    #[test]
    fn all_controllers_of_v2_go_to_the_nearest_group_that_hands_them_all_on() {
        let groups = [
            ("", "cpu io memory pids"),
            ("user", "memory pids"),
            ("user/app", ""),
        ];
        let (directory, mounts) = unified(&groups);
        let near = [Controller::Memory, Controller::Pids];
        assert_eq!(
            places(&near, &mounts),
            [
                Ok(directory.path().join("user")),
                Ok(directory.path().join("user"))
            ]
        );
        let far = [Controller::Memory, Controller::Cpu];
        assert_eq!(
            places(&far, &mounts),
            [Ok(directory.path().into()), Ok(directory.path().into())]
        );
    }

    #[test]
    fn a_controller_that_nobody_hands_on_is_named_and_the_others_are_usable() {
        let groups = [("", ""), ("user", "memory pids"), ("user/app", "")];
        let (directory, mounts) = unified(&groups);
        let found = places(
            &[
                Controller::Memory,
                Controller::Cpu,
                Controller::CpuAccounting,
            ],
            &mounts,
        );
        assert_eq!(found[0], Ok(directory.path().join("user")));
        let reason = found[1].as_ref().unwrap_err();
        assert!(
            reason.contains("the cpu controller is not handed on"),
            "{reason}"
        );
        assert_eq!(found[2], Ok(directory.path().join("user")));
    }

    #[test]
    fn the_real_root_is_made_to_hand_on_what_is_asked_for_and_no_more() {
        let (directory, mounts) = unified(&[("", ""), ("user/app", "")]);
        fs::remove_file(directory.path().join("cgroup.type")).unwrap();
        let file = directory.path().join("cgroup.subtree_control");
        let _ = places(&[Controller::Memory, Controller::Io], &mounts);
        assert_eq!(fs::read_to_string(file).unwrap(), "+memory +io");
    }

    #[test]
    fn a_controller_of_v1_is_preferred_and_a_hybrid_host_has_both() {
        let (_directory, mut mounts) = unified(&[("", "memory"), ("user/app", "")]);
        let v1 = tempfile::tempdir().unwrap();
        mounts.push(CgroupMount {
            version: Version::V1,
            root: "/".into(),
            point: v1.path().to_owned(),
            options: vec!["cpu".to_owned(), "cpuacct".to_owned()],
        });
        let memberships = parse_memberships("3:cpu,cpuacct:/\n0::/user/app\n");
        let wanted = [
            Controller::Cpu,
            Controller::CpuAccounting,
            Controller::Memory,
        ];
        let hierarchies = Hierarchies {
            found: find_all(&wanted, &memberships, &mounts),
        };
        assert_eq!(hierarchies.parents().len(), 2);
        let version = |controller| hierarchies.of(controller).unwrap().version;
        assert_eq!(wanted.map(version), [Version::V1, Version::V1, Version::V2]);
        assert!(hierarchies.of(Controller::Pids).is_err());
    }
}
