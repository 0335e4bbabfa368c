//! One hierarchy of cgroups in which this process may make groups, or why there is none.

use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::controller::Controller;
use super::membership::CgroupMount;
use super::version::Version;

/// A hierarchy that has a controller, and the place in the hierarchy for a new group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// The version of the hierarchy.
    pub version: Version,
    /// The directory in which new groups are made.
    pub parent: PathBuf,
    /// The directory of the group that this process is in.
    pub home: PathBuf,
}

impl Hierarchy {
    /// This hierarchy, if this process may make groups in it.
    ///
    /// # Errors
    /// The directory for new groups is not writable.
    pub(super) fn if_writable(self) -> Result<Self, Unusable> {
        match access(&self.parent, AccessFlags::W_OK) {
            Ok(()) => Ok(self),
            Err(_) => Err(Unusable::NotWritable { path: self.parent }),
        }
    }
}

/// Why a controller cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what the variant is")]
pub enum Unusable {
    #[error("no mounted cgroup hierarchy has the {controller} controller")]
    NotMounted { controller: &'static str },
    #[error(
        "this process is in the cgroup {group:?} of the {controller} controller, outside of this cgroup namespace or of the cgroups mounted at {point:?}: mount cgroups in the namespace, or move the process into it"
    )]
    OutsideOfNamespace {
        controller: &'static str,
        group: PathBuf,
        point: PathBuf,
    },
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

impl Unusable {
    /// This process is in the group `group`, which `mount` does not show.
    pub(super) fn outside(controller: Controller, group: &Path, mount: &CgroupMount) -> Self {
        Self::OutsideOfNamespace {
            controller: controller.name(),
            group: group.to_owned(),
            point: mount.point.clone(),
        }
    }

    /// No hierarchy has `controller`.
    pub(super) fn not_mounted(controller: Controller) -> Self {
        Self::NotMounted {
            controller: controller.name(),
        }
    }
}
