//! Floors: the least work that a mechanism needs. A rung is held against its floor, so that a reader sees what is
//! the mechanism's and what is isobench's. They know start-up alone, and that of KVM the price of an exit.

use std::io;
use std::path::{Path, PathBuf};

use isobench_reports::model::{TargetKind, Unavailable};

use super::{Launch, Target};
use crate::experiments::{CPU, STARTUP};
use crate::host::facts::{HostReport, Need};
use crate::instance::command_line::CommandLine;

/// Rung 1's floor.
#[derive(Debug)]
pub struct NamespaceFloor {
    launcher: PathBuf,
}

impl NamespaceFloor {
    pub fn new(launcher: &Path) -> Self {
        Self {
            launcher: launcher.to_owned(),
        }
    }
}

impl Target for NamespaceFloor {
    fn name(&self) -> &'static str {
        "floor-namespaces"
    }

    fn description(&self) -> &'static str {
        "One clone3 with the container's seven namespaces, then exec: no mounts, no cgroup, no seccomp."
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Floor
    }

    fn takes_part_in(&self, experiment: &str) -> bool {
        experiment == STARTUP
    }

    fn unavailable(&self, host: &HostReport) -> Option<Unavailable> {
        host.lacks(Need::UserNamespaces)
    }

    fn disk_path(&self, disk: &Path) -> PathBuf {
        disk.to_owned()
    }

    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        Ok(CommandLine::new(&self.launcher)
            .args(["namespaces", "--"])
            .args([launch.program])
            .args(&launch.arguments))
    }
}

/// Rung 2's floor.
#[derive(Debug)]
pub struct KvmFloor {
    launcher: PathBuf,
}

impl KvmFloor {
    pub fn new(launcher: &Path) -> Self {
        Self {
            launcher: launcher.to_owned(),
        }
    }
}

impl Target for KvmFloor {
    fn name(&self) -> &'static str {
        "floor-kvm"
    }

    fn description(&self) -> &'static str {
        "A program that makes a VM, its memory and its vCPU, and is ready at the first exit: no guest program."
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Floor
    }

    fn takes_part_in(&self, experiment: &str) -> bool {
        [STARTUP, CPU].contains(&experiment)
    }

    fn runs_programs(&self) -> bool {
        false
    }

    fn prices_exits(&self) -> bool {
        true
    }

    fn unavailable(&self, host: &HostReport) -> Option<Unavailable> {
        host.lacks(Need::Kvm)
    }

    fn disk_path(&self, disk: &Path) -> PathBuf {
        disk.to_owned()
    }

    /// Of a program's arguments it knows those of `workload price --op exit`; without, it is ready at the first exit.
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let command = CommandLine::new(&self.launcher).args(["kvm"]);
        Ok(match &launch.arguments[..] {
            [_, price, _, _, _, milliseconds] if price == "price" => {
                command.args(["--exits-for".as_ref(), milliseconds.as_os_str()])
            }
            _ => command,
        })
    }
}
