//! Rung 0: a bare process, without isolation. Its figures are the baseline of all other targets.
//!
//! A program of an image gets the image's files by chroot(2) and nothing else: the same program in
//! the same root as in the container, with the rights that it has there.

use std::io;
use std::path::PathBuf;

use isobench_container::Network;
use isobench_reports::model::{TargetFamily, TargetKind};
use nix::unistd::gethostname;

use super::network_files::NetworkFiles;
use super::overlay_roots::{Mounter, OverlayRoots, needs_root};
use super::prepare::host_user;
use super::{
    Availability, Capabilities, Capability, Contents, Image, InsidePath, Launch, PrepareContext,
    PrepareError, Prepared, Target, TargetInfo,
};
use crate::host::facts::HostReport;
use crate::host::mounts::MountNamespace;
use crate::instance::command_line::{CommandLine, HostUser, Leftovers, RootDirectory};

/// The target `process`, rung 0.
#[derive(Debug)]
pub struct Process {
    info: TargetInfo,
}

impl Process {
    pub fn new() -> Self {
        let description = "A bare process: spawn and exec, no isolation.";
        Self {
            info: info(TargetKind::Rung(0), "process", description),
        }
    }
}

/// The description of a bare process, with this name.
pub(super) fn info(kind: TargetKind, name: &'static str, description: &'static str) -> TargetInfo {
    TargetInfo {
        image_differences: &[
            "chroot into an overlayfs that is mounted before the clock starts, with the \
             container's /dev and the host's /proc",
            "the program runs as the host's user 100000 plus its own id, without capabilities: it \
             owns what it owns in the container",
            "no namespace of its own: it sees the host's processes, network and host name",
        ],
        capabilities: Capabilities::OF_RUNTIMES_WITH_DESCRIPTORS.with(Capability::ExposeFiles),
        networks: &[Network::Host],
        files: Some(InsidePath::SameAsOnHost),
        ..TargetInfo::new(kind, TargetFamily::Process, name, description)
    }
}

impl Target for Process {
    fn info(&self) -> &TargetInfo {
        &self.info
    }

    fn availability(&self, _: &HostReport) -> Availability {
        Availability::default()
    }

    fn prepare(&self, context: &PrepareContext) -> Result<Box<dyn Prepared>, PrepareError> {
        prepare(context)
    }
}

/// Prepares bare processes.
pub(super) fn prepare(context: &PrepareContext) -> Result<Box<dyn Prepared>, PrepareError> {
    match context.contents {
        Contents::Program(_) => Ok(Box::new(BareProcess)),
        Contents::Image(image) => Ok(Box::new(RootedProcess::new(context, image)?)),
    }
}

/// A prepared bare process: there is nothing to prepare.
#[derive(Debug)]
struct BareProcess;

impl Prepared for BareProcess {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let mut command = CommandLine::new(launch.program).args(&launch.arguments);
        command.name.clone_from(&launch.name);
        command.preserved.clone_from(&launch.preserved);
        command.environment.clone_from(&launch.environment);
        Ok(command)
    }
}

/// Bare processes whose root is an image's.
#[derive(Debug)]
struct RootedProcess {
    roots: OverlayRoots,
    network_files: NetworkFiles,
    working_directory: PathBuf,
    user: HostUser,
}

impl RootedProcess {
    fn new(context: &PrepareContext, image: Image) -> Result<Self, PrepareError> {
        needs_root().map_or(Ok(()), Err)?;
        let roots = context.files(|_| {
            let namespace = MountNamespace::new(&["/run".into()])?;
            OverlayRoots::new(namespace, image.layers, Mounter::Isobench)
        })?;
        let hostname = gethostname().unwrap_or_default();
        let network_files = context.files(|directory| {
            NetworkFiles::make(directory, image.layers, &hostname.to_string_lossy())
        })?;
        Ok(Self {
            roots,
            network_files,
            working_directory: image.working_directory.to_owned(),
            user: host_user(image.user),
        })
    }
}

impl Prepared for RootedProcess {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        // The paths inside are those on the host.
        let bound = [launch.disk, launch.files].into_iter().flatten();
        let mut binds: Vec<_> = bound.map(|path| (path, path.to_owned())).collect();
        let own = self.network_files.binds();
        binds.extend(own.map(|(source, inside)| (source, inside.into())));
        let root = self.roots.mount(&binds, &[])?;
        let mut command = BareProcess.command(launch)?;
        command.mounts = Some(self.roots.namespace().clone());
        command.user = Some(self.user.clone());
        command.root = Some(RootDirectory {
            directory: root.directory,
            working_directory: self.working_directory.clone(),
        });
        command.leftovers = Leftovers {
            mounted: Some(root.mounted),
            ..Leftovers::default()
        };
        Ok(command)
    }
}
