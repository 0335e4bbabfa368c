//! Floors: the least work that a mechanism needs. A rung is held against its floor, so that a
//! reader sees what is the mechanism's and what is isobench's.

use std::io;
use std::path::{Path, PathBuf};

use isobench_reports::model::{TargetFamily, TargetKind};
use isobench_reports::schema::{cpu, startup};

use super::{
    Capability, Launch, Participation, PrepareError, Prepared, Presence, Setup, Target, TargetInfo,
};
use crate::host::facts::{HostReport, Need};
use crate::instance::command_line::CommandLine;

/// Why a floor takes part in little.
const ONLY_A_START: &str = "a floor is the least work of a start, and does nothing else";

/// Rung 1's floor.
#[derive(Debug)]
pub struct NamespaceFloor {
    info: TargetInfo,
    launcher: PathBuf,
}

impl NamespaceFloor {
    pub fn new(launcher: &Path) -> Self {
        let description = "One clone3 with the container's seven namespaces, then exec: no mounts, \
                           no cgroup, no seccomp.";
        Self {
            info: TargetInfo {
                participation: Participation::OnlyIn {
                    experiments: &[startup::NAME],
                    why: ONLY_A_START,
                },
                ..TargetInfo::new(
                    TargetKind::Floor,
                    TargetFamily::Other,
                    "floor-namespaces",
                    description,
                )
            },
            launcher: launcher.to_owned(),
        }
    }
}

impl Target for NamespaceFloor {
    fn info(&self) -> &TargetInfo {
        &self.info
    }

    fn presence(&self, host: &HostReport) -> Presence {
        Presence::built_in(host.lacks(Need::UserNamespaces))
    }

    fn prepare(&self, setup: &Setup) -> Result<Box<dyn Prepared>, PrepareError> {
        setup.program(self.info.name)?;
        Ok(Box::new(NamespaceLauncher(self.launcher.clone())))
    }
}

/// The launcher of the floor of namespaces.
#[derive(Debug)]
struct NamespaceLauncher(PathBuf);

impl Prepared for NamespaceLauncher {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        Ok(CommandLine::new(&self.0)
            .args(["namespaces", "--"])
            .args([launch.program])
            .args(&launch.arguments))
    }
}

/// Rung 2's floor.
#[derive(Debug)]
pub struct KvmFloor {
    info: TargetInfo,
    launcher: PathBuf,
}

impl KvmFloor {
    pub fn new(launcher: &Path) -> Self {
        let description = "A program that makes a VM, its memory and its vCPU, and is ready at the \
                           first exit: no guest program.";
        Self {
            info: TargetInfo {
                participation: Participation::OnlyIn {
                    experiments: &[startup::NAME, cpu::NAME],
                    why: ONLY_A_START,
                },
                capabilities: &[
                    Capability::KernelServices,
                    Capability::TellEndOfInput,
                    Capability::PriceExits,
                ],
                ..TargetInfo::new(
                    TargetKind::Floor,
                    TargetFamily::Other,
                    "floor-kvm",
                    description,
                )
            },
            launcher: launcher.to_owned(),
        }
    }
}

impl Target for KvmFloor {
    fn info(&self) -> &TargetInfo {
        &self.info
    }

    fn presence(&self, host: &HostReport) -> Presence {
        Presence::built_in(host.lacks(Need::Kvm))
    }

    fn prepare(&self, setup: &Setup) -> Result<Box<dyn Prepared>, PrepareError> {
        setup.program(self.info.name)?;
        Ok(Box::new(KvmLauncher(self.launcher.clone())))
    }
}

/// The launcher of the floor of KVM.
#[derive(Debug)]
struct KvmLauncher(PathBuf);

impl Prepared for KvmLauncher {
    /// Of a program's arguments the floor knows those of `workload price --op exit`; without them
    /// the floor is ready at the first exit.
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let command = CommandLine::new(&self.0).args(["kvm"]);
        Ok(match &launch.arguments[..] {
            [_, price, _, _, _, milliseconds] if price == "price" => {
                command.args(["--exits-for".as_ref(), milliseconds.as_os_str()])
            }
            _ => command,
        })
    }
}
