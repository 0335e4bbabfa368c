//! Rung 1: isobench's own namespace container, started by the launcher `isobench-container`.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use isobench_container::{Mechanism, Mechanisms, Network, Phase, User};
use isobench_reports::model::{TargetFamily, TargetKind};

use super::network_files::NetworkFiles;
use super::prepare::{file_name, host_user, inside_path, place_program};
use super::{
    Availability, Beginning, Capabilities, Capability, Contents, InsidePath, Launch, Marks,
    MemoryLimit, PrepareContext, PrepareError, Prepared, Surroundings, Target, TargetInfo, phase,
};
use crate::host::facts::{HostReport, Need};
use crate::instance::command_line::{CommandLine, MARKS_DESCRIPTOR};

/// The path inside at which the disk file is bound.
const DISK: &str = "/disk";
/// The path inside at which the directory for files is bound.
const FILES: &str = "/files";

/// The host name inside.
const HOSTNAME: &str = "isobench";

/// The target `container`, rung 1.
#[derive(Debug)]
pub struct Container {
    info: TargetInfo,
    launcher: PathBuf,
}

impl Container {
    /// The target whose launcher has this path.
    pub fn new(launcher: &Path) -> Self {
        let description = "Seven namespaces, a cgroup, an overlayfs root, pivot_root, seccomp, no \
                           capabilities; the host's kernel.";
        let phases = Phase::ALL.iter();
        Self {
            info: TargetInfo {
                floor: Some("floor-namespaces"),
                phases: phases
                    .map(|step| phase(step.name(), step.explanation()))
                    .collect(),
                capabilities: Capabilities::OF_RUNTIMES_WITH_DESCRIPTORS
                    .with(Capability::HoldBeforeProgram)
                    .with(Capability::LimitResources)
                    .with(Capability::LeaveOutMechanisms)
                    .with(Capability::StackLayers)
                    .with(Capability::ExposeFiles),
                networks: Network::ALL,
                memory_limit: Some(MemoryLimit::Cgroup),
                disk: InsidePath::At(DISK),
                files: Some(InsidePath::At(FILES)),
                ..TargetInfo::new(
                    TargetKind::Rung(1),
                    TargetFamily::Container,
                    "container",
                    description,
                )
            },
            launcher: launcher.to_owned(),
        }
    }
}

impl Target for Container {
    fn info(&self) -> &TargetInfo {
        &self.info
    }

    fn availability(&self, host: &HostReport) -> Availability {
        Availability::built_in(host.lacks(Need::UserNamespaces))
    }

    fn prepare(&self, context: &PrepareContext) -> Result<Box<dyn Prepared>, PrepareError> {
        let root = match context.contents {
            Contents::Program(program) => {
                let layer = context.directory.join("layer");
                context.files(|_| place_program(program, &layer))?;
                Root::Program { layer }
            }
            Contents::Image(image) => Root::Image {
                network_files: context
                    .files(|directory| NetworkFiles::make(directory, image.layers, HOSTNAME))?,
                layers: image.layers.to_vec(),
                working_directory: image.working_directory.to_owned(),
                user: image.user.clone(),
            },
        };
        Ok(Box::new(ContainerLauncher {
            program: self.launcher.clone(),
            root,
        }))
    }
}

/// The launcher, and the root of all instances.
#[derive(Debug)]
struct ContainerLauncher {
    program: PathBuf,
    root: Root,
}

/// The root of all instances.
#[derive(Debug)]
enum Root {
    /// A directory with one static program.
    Program { layer: PathBuf },
    /// The layers of an image, the lowest first.
    Image {
        network_files: NetworkFiles,
        layers: Vec<PathBuf>,
        working_directory: PathBuf,
        user: User,
    },
}

impl Root {
    fn layers(&self) -> &[PathBuf] {
        match self {
            Self::Program { layer } => std::slice::from_ref(layer),
            Self::Image { layers, .. } => layers,
        }
    }

    /// The user of the program.
    fn user(&self) -> User {
        match self {
            Self::Program { .. } => User::default(),
            Self::Image { user, .. } => user.clone(),
        }
    }

    /// The options for the start of the launch's program, and the program's path inside.
    fn start(&self, launch: &Launch) -> (Vec<OsString>, PathBuf) {
        match self {
            Self::Program { layer } => {
                let has_root = launch.mechanisms.contains(Mechanism::Pivot);
                let program = if has_root {
                    inside_path(launch.program)
                } else {
                    layer.join(file_name(launch.program))
                };
                (Vec::new(), program)
            }
            Self::Image {
                network_files,
                working_directory,
                user,
                ..
            } => {
                // Only overlayfs understands the whiteouts of an image.
                let mut options: Vec<OsString> = vec!["--root".into(), "overlay".into()];
                options.extend(["--workdir".into(), working_directory.into()]);
                if launch.network == Some(Network::Host) {
                    for (source, inside) in network_files.binds() {
                        options.extend(["--bind".into(), bind(source, inside)]);
                    }
                }
                if *user != User::default() {
                    options.extend(["--user".into(), user.to_string().into()]);
                }
                (options, launch.program.to_owned())
            }
        }
    }
}

impl ContainerLauncher {
    fn surroundings(&self, launch: &Launch) -> Surroundings {
        match self.root {
            Root::Image { .. } => Surroundings::Whole,
            Root::Program { .. } => launch.surroundings,
        }
    }
}

impl Prepared for ContainerLauncher {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let (options, program) = self.root.start(launch);
        let mut command = CommandLine::new(&self.program);
        let arguments = &mut command.arguments;
        arguments.extend(isolation(launch, self.root.layers()));
        arguments.extend(launch.beginning.options());
        command.holds = launch.beginning == Beginning::Held;
        arguments.extend(surroundings(launch));
        arguments.extend(options);
        let around = self.surroundings(launch);
        if around.have_terminals() {
            arguments.push("--terminals".into());
        }
        if around == Surroundings::Whole && !launch.cgroups.is_empty() {
            arguments.push("--show-cgroups".into());
        }
        if !launch.preserved.is_empty() {
            let count = launch.preserved.len().to_string();
            arguments.extend(["--preserve-fds".into(), count.into()]);
        }
        if let Some(name) = &launch.name {
            arguments.extend(["--argv0".into(), name.clone()]);
        }
        arguments.push("--".into());
        arguments.push(program.into());
        arguments.extend(launch.arguments.iter().cloned());
        command.preserved.clone_from(&launch.preserved);
        command.pipes_for = Some(host_user(&self.root.user()));
        Ok(command)
    }
}

/// The options for the marks, the mechanisms and the root.
fn isolation(launch: &Launch, layers: &[PathBuf]) -> Vec<OsString> {
    let mut options = Vec::new();
    if launch.marks != Marks::None {
        options.extend(["--marks-fd".into(), MARKS_DESCRIPTOR.to_string().into()]);
    }
    let has = |mechanism| launch.mechanisms.contains(mechanism);
    if launch.mechanisms != Mechanisms::ALL {
        let mechanisms = launch.mechanisms.to_string();
        options.extend(["--mechanisms".into(), mechanisms.into()]);
    }
    if has(Mechanism::Overlay) {
        let added = launch.layer.map(Path::to_owned);
        for layer in layers.iter().chain(added.as_ref()) {
            options.extend(["--layer".into(), layer.into()]);
        }
        if let Some(scratch) = launch.scratch {
            options.extend(["--scratch".into(), scratch.into()]);
        }
    }
    if has(Mechanism::Cgroup) {
        for directory in &launch.cgroups {
            options.extend(["--cgroup".into(), directory.into()]);
        }
    }
    options
}

/// A bind as the launcher's option. Neither path contains a colon.
fn bind(source: &Path, inside: &str) -> OsString {
    let mut bind = source.as_os_str().to_owned();
    bind.push(":");
    bind.push(inside);
    bind
}

/// The options for bound files, limits, network and environment.
fn surroundings(launch: &Launch) -> Vec<OsString> {
    let mut options = Vec::new();
    for (source, place) in [(launch.disk, DISK), (launch.files, FILES)] {
        let Some(source) = source else { continue };
        options.extend(["--bind".into(), bind(source, place)]);
    }
    if let Some(memory) = launch.memory {
        options.extend(["--memory".into(), format!("{}B", memory.as_u64()).into()]);
    }
    options.extend(launch.resource_limits.launcher_options());
    if let Some(network) = launch.network {
        options.extend(["--net".into(), network.name().into()]);
    }
    for variable in &launch.environment {
        options.extend(["--env".into(), variable.clone()]);
    }
    options
}
