//! Rung 1: isobench's own namespace container, started by the launcher `isobench-container`.

use std::io;
use std::path::{Path, PathBuf};

use isobench_container::{Mechanism, Mechanisms, Network, Phase, User};
use isobench_reports::model::{Part, TargetKind, Unavailable};

use super::{Launch, Marks, Target, file_name, inside_path, part, place_program};
use crate::host::facts::{HostReport, Need};
use crate::instance::command_line::{CommandLine, MARKS_DESCRIPTOR};

/// Where the disk file is bound to.
const DISK: &str = "/disk";
/// Where the directory for files is bound to.
const FILES: &str = "/files";

/// Rung 1.
#[derive(Debug)]
pub struct Container {
    launcher: PathBuf,
}

/// A program of an image: what its instance needs beyond a [`Launch`].
#[derive(Debug)]
pub struct InImage<'a> {
    /// The image's layers, the lowest first.
    pub layers: &'a [PathBuf],
    /// Where the program starts.
    pub working_directory: &'a Path,
    /// Who it runs as.
    pub user: &'a User,
}

impl Container {
    /// The target with this launcher.
    pub fn new(launcher: &Path) -> Self {
        Self {
            launcher: launcher.to_owned(),
        }
    }

    fn options(&self, launch: &Launch, layers: &[PathBuf]) -> CommandLine {
        let mut command = CommandLine::new(&self.launcher);
        let arguments = &mut command.arguments;
        if launch.marks != Marks::None {
            arguments.extend(["--marks-fd".into(), MARKS_DESCRIPTOR.to_string().into()]);
        }
        let has = |mechanism| launch.mechanisms.contains(mechanism);
        if launch.mechanisms != Mechanisms::ALL {
            let mechanisms = launch.mechanisms.to_string();
            arguments.extend(["--mechanisms".into(), mechanisms.into()]);
        }
        for layer in layers.iter().filter(|_| has(Mechanism::Overlay)) {
            arguments.extend(["--layer".into(), layer.into()]);
        }
        if let Some(scratch) = launch.scratch.filter(|_| has(Mechanism::Overlay)) {
            arguments.extend(["--scratch".into(), scratch.into()]);
        }
        let binds = [(launch.disk, DISK), (launch.files, FILES)];
        for (source, place) in binds {
            let Some(source) = source else { continue };
            let mut bind = source.as_os_str().to_owned();
            bind.push(":");
            bind.push(place);
            arguments.extend(["--bind".into(), bind]);
        }
        for directory in launch.limits.iter().filter(|_| has(Mechanism::Cgroup)) {
            arguments.extend(["--cgroup".into(), directory.into()]);
        }
        if let Some(memory) = launch.memory {
            arguments.extend(["--memory".into(), format!("{}B", memory.as_u64()).into()]);
        }
        arguments.extend(launch.bounds.launcher_options());
        if let Some(network) = launch.network {
            arguments.extend(["--net".into(), network.name().into()]);
        }
        for variable in &launch.environment {
            arguments.extend(["--env".into(), variable.clone()]);
        }
        command
    }
}

impl Target for Container {
    fn name(&self) -> &'static str {
        "container"
    }

    fn description(&self) -> &'static str {
        "Seven namespaces, a cgroup, an overlayfs root, pivot_root, seccomp, no capabilities; the host's kernel."
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Rung(1)
    }

    fn floor(&self) -> Option<&'static str> {
        Some("floor-namespaces")
    }

    fn phases(&self) -> Vec<Part> {
        Phase::ALL
            .iter()
            .map(|phase| part(phase.name(), phase.explanation()))
            .collect()
    }

    fn networks(&self) -> &'static [Network] {
        &Network::ALL
    }

    fn limits_memory(&self) -> bool {
        true
    }

    fn takes_bounds(&self) -> bool {
        true
    }

    fn leaves_out_mechanisms(&self) -> bool {
        true
    }

    fn stacks_layers(&self) -> bool {
        true
    }

    fn shows_its_files(&self) -> bool {
        true
    }

    fn unavailable(&self, host: &HostReport) -> Option<Unavailable> {
        host.lacks(Need::UserNamespaces)
    }

    fn prepare(&self, program: &Path, root: &Path) -> io::Result<()> {
        place_program(program, &root.join("layer"))
    }

    fn disk_path(&self, _: &Path) -> PathBuf {
        DISK.into()
    }

    fn files_path(&self, _: &Path) -> Option<PathBuf> {
        Some(FILES.into())
    }

    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let layer = launch.root.join("layer");
        let layers: Vec<PathBuf> = std::iter::once(layer.clone())
            .chain(launch.layer.map(Path::to_owned))
            .collect();
        let mut command = self.options(launch, &layers);
        let arguments = &mut command.arguments;
        arguments.push("--".into());
        let program = if launch.mechanisms.contains(Mechanism::Pivot) {
            inside_path(launch.program)
        } else {
            layer.join(file_name(launch.program))
        };
        arguments.push(program.into());
        arguments.extend(launch.arguments.iter().cloned());
        Ok(command)
    }

    fn runs_images(&self) -> bool {
        true
    }

    fn command_in_image(&self, launch: &Launch, image: &InImage<'_>) -> io::Result<CommandLine> {
        let mut command = self.options(launch, image.layers);
        let arguments = &mut command.arguments;
        // Only overlayfs knows what a whiteout is.
        arguments.extend(["--root".into(), "overlay".into()]);
        arguments.extend(["--workdir".into(), image.working_directory.into()]);
        if *image.user != User::default() {
            arguments.extend(["--user".into(), image.user.to_string().into()]);
        }
        arguments.push("--".into());
        arguments.push(launch.program.into());
        arguments.extend(launch.arguments.iter().cloned());
        Ok(command)
    }
}
