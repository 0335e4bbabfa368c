//! Everything that the first process needs, prepared by the launcher before the clone.

use std::ffi::CStr;
use std::path::Path;

use super::error::LaunchError;
use super::root_plan;
use crate::config::{Config, ProgramSignals};
use crate::isolation::namespaces;
use crate::isolation::root::plan::{RootKind, RootPlan};
use crate::mechanism::{Mechanism, Mechanisms};
use crate::network::Network;
use crate::sys::process::{ExecList, Identity, Stack};

/// The first descriptor after standard input, output and error.
const FIRST_INHERITED: i32 = 3;

/// When the first process gets into its cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joining {
    /// The container has no cgroup.
    NoCgroup,
    /// Under cgroups v2: `clone3` makes the process in its cgroup.
    AtBirth,
    /// Under cgroups v1: the process joins by itself, with descriptors that the launcher sends.
    Later,
}

/// Everything that the first process needs. The strings are those of the [`Config`].
pub struct LaunchPlan<'c> {
    /// The flags with which `clone3` makes the namespaces.
    pub namespaces: u64,
    /// Whether the first process makes the cgroup namespace itself, once it is in its cgroups: only
    /// then are those the roots that the container sees.
    pub late_cgroup_namespace: bool,
    /// Whether root of the container is another user than the launcher's. Otherwise the first
    /// process is root by the map of ids alone.
    pub changes_user: bool,
    /// The mechanisms that the first process sets up.
    pub mechanisms: Mechanisms,
    /// When the first process gets into its cgroups.
    pub joining: Joining,
    /// Whether the launcher orders the first process to set up the network.
    pub sets_up_network: bool,
    /// The first descriptor that the program doesn't get.
    pub first_closed: i32,
    /// The root file system.
    pub root: RootPlan<'c>,
    /// The host name.
    pub hostname: &'c CStr,
    /// The directory in which the program starts.
    pub working_directory: &'c CStr,
    /// The user that the program runs as; user 0 without one.
    pub user: Option<Identity>,
    /// What the program starts with of signals.
    pub signals: &'c ProgramSignals,
    /// The program's path.
    pub program: &'c CStr,
    /// The program's arguments, its own name first.
    pub arguments: ExecList<'c>,
    /// The program's environment.
    pub environment: ExecList<'c>,
    /// The stack on which the program's process starts.
    pub stack: Stack,
}

impl<'c> LaunchPlan<'c> {
    /// Makes the plan for a container whose root is of `kind`, assembled in the directory `base` or
    /// else in a tmpfs.
    ///
    /// # Errors
    /// A layer or a bind cannot be opened.
    pub fn new(
        config: &'c Config,
        kind: RootKind,
        base: Option<&Path>,
        joining: Joining,
    ) -> Result<Self, LaunchError> {
        let (spec, strings) = (&config.spec, &config.strings);
        let late_cgroup_namespace =
            !spec.cgroups.is_empty() && spec.mechanisms.contains(Mechanism::CgroupNamespace);
        let mut at_clone = spec.mechanisms;
        if spec.network == Network::Host {
            at_clone = at_clone.without(Mechanism::Net);
        }
        if late_cgroup_namespace {
            at_clone = at_clone.without(Mechanism::CgroupNamespace);
        }
        let user = spec.user.as_ref();
        Ok(Self {
            namespaces: namespaces::flags(at_clone),
            late_cgroup_namespace,
            changes_user: config.ids.changes_user(),
            mechanisms: spec.mechanisms,
            joining,
            sets_up_network: spec.network.is_set_up(),
            first_closed: FIRST_INHERITED + i32::from(spec.preserved),
            root: root_plan::make(config, kind, base)?,
            hostname: &strings.hostname,
            working_directory: &strings.working_directory,
            user: user.map(|user| Identity::new(user.uid, user.gid, &user.groups)),
            signals: &spec.signals,
            program: &strings.program,
            arguments: ExecList::new(&strings.arguments),
            environment: ExecList::new(&strings.environment),
            stack: Stack::new(),
        })
    }
}
