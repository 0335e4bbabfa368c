//! Rung 1: isobench's own namespace container, started by the launcher `isobench-container`.

use std::io;
use std::path::{Path, PathBuf};

use isobench_container::{Mechanism, Mechanisms, Network, Phase};
use isobench_reports::model::{Part, TargetKind, Unavailable};

use super::{Launch, Target, file_name, inside_path, part, place_program};
use crate::host::{HostReport, Need};
use crate::spawn::{CommandLine, MARKS_DESCRIPTOR};

/// Where the disk file is bound to.
const DISK: &str = "/disk";

#[derive(Debug)]
pub struct Container {
    launcher: PathBuf,
}

impl Container {
    pub fn new(launcher: &Path) -> Self {
        Self {
            launcher: launcher.to_owned(),
        }
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

    fn unavailable(&self, host: &HostReport) -> Option<Unavailable> {
        host.lacks(Need::UserNamespaces)
    }

    fn prepare(&self, program: &Path, root: &Path) -> io::Result<()> {
        place_program(program, &root.join("layer"))
    }

    fn disk_path(&self, _: &Path) -> PathBuf {
        DISK.into()
    }

    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let mut command = CommandLine::new(&self.launcher);
        let arguments = &mut command.arguments;
        if launch.marks {
            arguments.extend(["--marks-fd".into(), MARKS_DESCRIPTOR.to_string().into()]);
        }
        let has = |mechanism| launch.mechanisms.contains(mechanism);
        if launch.mechanisms != Mechanisms::ALL {
            let mechanisms = launch.mechanisms.to_string();
            arguments.extend(["--mechanisms".into(), mechanisms.into()]);
        }
        let layer = launch.root.join("layer");
        if has(Mechanism::Overlay) {
            arguments.extend(["--layer".into(), layer.as_os_str().to_owned()]);
        }
        if let Some(disk) = launch.disk {
            let mut bind = disk.as_os_str().to_owned();
            bind.push(":");
            bind.push(DISK);
            arguments.extend(["--bind".into(), bind]);
        }
        let limits = launch.limits.iter();
        for directory in limits.filter(|_| has(Mechanism::Cgroup)) {
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
        arguments.push("--".into());
        let program = if has(Mechanism::Pivot) {
            inside_path(launch.program)
        } else {
            layer.join(file_name(launch.program))
        };
        arguments.push(program.into());
        arguments.extend(launch.arguments.iter().cloned());
        Ok(command)
    }
}
