//! Finding the cgroup hierarchies in which this process may make groups.
//!
//! Under v1 each controller has a hierarchy of its own, or shares one, and a new group is made in
//! this process's group. Under v2 a group that holds processes cannot have children with
//! controllers (the no-internal-process rule). So a new group is made in the nearest ancestor that
//! hands the controllers on, and usually becomes a sibling of this process's group.
//!
//! Only the controllers asked for are looked for: each hierarchy costs a start another directory to
//! make and to join, and under v2 each controller that is handed on costs what it accounts.

use std::fs;
use std::path::Path;

use super::controller::Controller;
use super::error::CgroupError;
use super::hierarchy::{Hierarchy, Unusable};
use super::membership::{CgroupMount, Membership, parse_memberships, parse_mounts};
use super::unified::Unified;
use super::version::Version;

/// Where groups can be made for each controller asked for, or why they cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchies {
    found: Vec<(Controller, Result<Hierarchy, Unusable>)>,
}

impl Hierarchies {
    /// Looks for hierarchies with the controllers of memory and of processes.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn detect() -> Result<Self, CgroupError> {
        Self::detect_for(&[Controller::Memory, Controller::Pids])
    }

    /// Looks for hierarchies with `controllers`.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn detect_for(controllers: &[Controller]) -> Result<Self, CgroupError> {
        let memberships = parse_memberships(&read("/proc/self/cgroup")?);
        let mounts = parse_mounts(&read("/proc/self/mountinfo")?);
        Ok(Self {
            found: find_all(controllers, &memberships, &mounts),
        })
    }

    /// The hierarchy in which a group with `controller` can be made.
    ///
    /// # Errors
    /// There is no such hierarchy. A controller that was not asked for counts as not mounted.
    pub fn of(&self, controller: Controller) -> Result<&Hierarchy, Unusable> {
        let found = self.found.iter().find(|(known, _)| *known == controller);
        match found {
            Some((_, result)) => result.as_ref().map_err(Clone::clone),
            None => Err(Unusable::not_mounted(controller)),
        }
    }

    /// The controllers that were asked for and can be used.
    pub fn usable(&self) -> impl Iterator<Item = Controller> {
        let usable = self.found.iter().filter(|(_, result)| result.is_ok());
        usable.map(|(controller, _)| *controller)
    }

    /// The directories in which a group with all usable controllers has to be made, each once.
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

/// The hierarchy of each controller. All controllers of v2 get the same place, since a process is
/// in one group of a hierarchy.
fn find_all(
    controllers: &[Controller],
    memberships: &[Membership],
    mounts: &[CgroupMount],
) -> Vec<(Controller, Result<Hierarchy, Unusable>)> {
    let v1 = |controller: Controller| {
        let name = controller.v1_name();
        let ours = memberships.iter().find(|line| line.has(name));
        best(mounts.iter().filter(|mount| mount.is_v1_of(name)), ours)
    };
    let unified: Vec<Controller> = controllers
        .iter()
        .copied()
        .filter(|controller| v1(*controller).is_none())
        .collect();
    let is_v2 = |mount: &&CgroupMount| mount.version == Version::V2;
    let ours = memberships.iter().find(|line| line.controllers.is_empty());
    let v2 = best(mounts.iter().filter(is_v2), ours);
    let place = v2.map(|mount| Unified::find(mount, memberships, &unified));
    let find = |controller: Controller| match (v1(controller), &place) {
        (Some(mount), _) => in_own_group(controller, mount, memberships),
        (None, Some(place)) => place.of(controller),
        (None, None) => Err(Unusable::not_mounted(controller)),
    };
    controllers
        .iter()
        .map(|controller| (*controller, find(*controller)))
        .collect()
}

/// The first of `mounts`, all of one hierarchy, that shows this process's group `ours`, or else the
/// first.
fn best<'m>(
    mounts: impl Iterator<Item = &'m CgroupMount>,
    ours: Option<&Membership>,
) -> Option<&'m CgroupMount> {
    let shows_ours =
        |mount: &&CgroupMount| ours.is_some_and(|line| mount.directory(&line.path).is_some());
    let mut mounts = mounts.peekable();
    let first = mounts.peek().copied();
    mounts.find(shows_ours).or(first)
}

/// This process's own group, in the hierarchy `mount` of v1.
fn in_own_group(
    controller: Controller,
    mount: &CgroupMount,
    memberships: &[Membership],
) -> Result<Hierarchy, Unusable> {
    let name = controller.v1_name();
    let ours = memberships.iter().find(|line| line.has(name));
    let parent = match ours {
        None => mount.point.clone(),
        Some(Membership { path, .. }) => mount
            .directory(path)
            .ok_or_else(|| Unusable::outside(controller, path, mount))?,
    };
    let hierarchy = Hierarchy {
        version: Version::V1,
        home: parent.clone(),
        parent,
    };
    hierarchy.if_writable()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A directory that looks like a hierarchy of v2 with these groups, each with the controllers
    /// that the group hands on.
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
    fn the_place_in_v2_is_the_nearest_group_that_hands_all_controllers_on() {
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
    fn a_controller_that_no_group_hands_on_is_named_and_the_others_are_usable() {
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
    fn the_real_root_is_made_to_hand_on_only_what_is_asked_for() {
        let (directory, mounts) = unified(&[("", ""), ("user/app", "")]);
        fs::remove_file(directory.path().join("cgroup.type")).unwrap();
        let file = directory.path().join("cgroup.subtree_control");
        let _ = places(&[Controller::Memory, Controller::Io], &mounts);
        assert_eq!(fs::read_to_string(file).unwrap(), "+memory +io");
    }

    #[test]
    fn on_a_host_with_both_versions_a_controller_of_v1_is_preferred() {
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

    #[test]
    fn a_group_outside_of_the_cgroup_namespace_is_named_and_never_looked_for() {
        let (directory, _) = unified(&[("cgroup", "memory pids"), ("pids", "memory pids")]);
        let point = directory.path().join("cgroup");
        fs::write(point.join("cgroup.controllers"), "memory pids").unwrap();
        for (root, group) in [
            ("/", "/../pids"),
            ("/../..", "/"),
            ("/a", "/pids"),
            ("/..", "/../../pids"),
        ] {
            for version in [Version::V1, Version::V2] {
                let mount = CgroupMount {
                    version,
                    root: root.into(),
                    point: point.clone(),
                    options: vec!["memory".to_owned()],
                };
                let memberships = parse_memberships(&format!("4:memory:{group}\n0::{group}\n"));
                let found = find_all(&[Controller::Memory], &memberships, &[mount]);
                let reason = found[0].1.as_ref().unwrap_err().to_string();
                assert!(
                    reason.contains("outside of this cgroup namespace"),
                    "{reason}"
                );
                assert!(reason.contains(&format!("{group:?}")), "{reason}");
            }
        }
    }

    #[test]
    fn of_two_mounts_the_one_that_shows_the_own_group_is_taken() {
        let (directory, mut mounts) = unified(&[("user", "memory pids"), ("user/app", "")]);
        let elsewhere = CgroupMount {
            version: Version::V2,
            root: "/other".into(),
            point: "/no/such".into(),
            options: vec!["rw".to_owned()],
        };
        mounts.insert(0, elsewhere);
        assert_eq!(
            places(&[Controller::Memory], &mounts),
            [Ok(directory.path().join("user"))]
        );
    }
}
