//! The place for a group in the hierarchy of v2.

use std::fs;
use std::path::{Path, PathBuf};

use super::controller::Controller;
use super::hierarchy::{Hierarchy, Unusable};
use super::membership::{CgroupMount, Membership};
use super::version::Version;

/// The place for a group in the hierarchy of v2.
pub struct Unified<'a> {
    mount: &'a CgroupMount,
    /// The directory of the group that this process is in, or the group's path if the mount does
    /// not show the group.
    home: Result<PathBuf, PathBuf>,
    /// The directory that hands controllers on, if any does.
    parent: Option<PathBuf>,
}

impl<'a> Unified<'a> {
    /// Looks for the place among this process's group and its ancestors. The place is the nearest
    /// of them that hands on all controllers that are `wanted` and that the hierarchy has, or else
    /// the nearest that hands on the first of these controllers.
    pub fn find(mount: &'a CgroupMount, memberships: &[Membership], wanted: &[Controller]) -> Self {
        let ours = memberships.iter().find(|line| line.controllers.is_empty());
        let home = ours.map_or_else(
            || Ok(mount.point.clone()),
            |line| mount.directory(&line.path).ok_or_else(|| line.path.clone()),
        );
        let known = names_in(&mount.point.join("cgroup.controllers"));
        let mut names: Vec<&str> = wanted.iter().filter_map(|one| one.v2_name()).collect();
        names.retain(|name| known.iter().any(|other| other == name));
        let parent = home.as_deref().ok().and_then(|home| {
            handing_on(mount, home, &names)
                .or_else(|| enable_at_root(mount, &names))
                .or_else(|| handing_on(mount, home, names.get(..1)?))
        });
        Self {
            mount,
            home,
            parent,
        }
    }

    /// The hierarchy with this place, for a group that is to have `controller`.
    ///
    /// # Errors
    /// The hierarchy lacks the controller, the place does not hand the controller on, or the place
    /// is not writable.
    pub fn of(&self, controller: Controller) -> Result<Hierarchy, Unusable> {
        let has = |directory: &Path, file: &str| {
            let names = names_in(&directory.join(file));
            controller
                .v2_name()
                .is_none_or(|name| names.iter().any(|known| known == name))
        };
        if !has(&self.mount.point, "cgroup.controllers") {
            return Err(Unusable::not_mounted(controller));
        }
        let home = self.home.as_ref();
        let home = home.map_err(|group| Unusable::outside(controller, group, self.mount))?;
        let not_delegated = || Unusable::NotDelegated {
            controller: controller.name(),
            path: home.clone(),
        };
        let parent = self.parent.as_ref().ok_or_else(not_delegated)?;
        if !has(parent, "cgroup.subtree_control") {
            return Err(not_delegated());
        }
        let hierarchy = Hierarchy {
            version: Version::V2,
            parent: parent.clone(),
            home: home.clone(),
        };
        hierarchy.if_writable()
    }
}

/// The nearest of `from` and its ancestors that hands the controllers `names` on to its children.
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

/// Makes the hierarchy's root hand the controllers `names` on. Only the root may both hand
/// controllers on and hold processes. The root is known by having no file cgroup.type.
fn enable_at_root(mount: &CgroupMount, names: &[&str]) -> Option<PathBuf> {
    let root = &mount.point;
    if names.is_empty() || root.join("cgroup.type").exists() {
        return None;
    }
    let request: Vec<String> = names.iter().map(|name| format!("+{name}")).collect();
    fs::write(root.join("cgroup.subtree_control"), request.join(" ")).ok()?;
    Some(root.clone())
}

/// The words in `file`; no word if `file` cannot be read.
fn names_in(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}
