//! Floors: programs that do the least work that a mechanism needs. The difference between a rung
//! and its floor is the work of isobench's own launcher.

use std::io;
use std::path::{Path, PathBuf};

use isobench_reports::model::{TargetFamily, TargetKind};
use isobench_reports::schema::{cpu, startup};

use super::{
    Availability, Capabilities, Capability, Launch, Participation, PrepareContext, PrepareError,
    Prepared, Target, TargetInfo,
};
use crate::host::facts::{HostReport, Need};
use crate::instance::command_line::CommandLine;

/// Why a floor takes part in few experiments.
const ONLY_A_START: &str = "a floor is the least work of a start, and does nothing else";

/// The target `floor-namespaces`, the floor of rung 1.
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
                    reason: ONLY_A_START,
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

    fn availability(&self, host: &HostReport) -> Availability {
        Availability::built_in(host.lacks(Need::UserNamespaces))
    }

    fn prepare(&self, context: &PrepareContext) -> Result<Box<dyn Prepared>, PrepareError> {
        context.program(self.info.name)?;
        Ok(Box::new(NamespaceLauncher(self.launcher.clone())))
    }
}

/// The launcher of `floor-namespaces`.
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

/// The target `floor-kvm`, the floor of rung 2.
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
                    reason: ONLY_A_START,
                },
                capabilities: Capabilities::NONE
                    .with(Capability::KernelServices)
                    .with(Capability::PassEndOfInput)
                    .with(Capability::WaitForProgram)
                    .with(Capability::ExitOnPurpose),
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

    fn availability(&self, host: &HostReport) -> Availability {
        Availability::built_in(host.lacks(Need::Kvm))
    }

    fn prepare(&self, context: &PrepareContext) -> Result<Box<dyn Prepared>, PrepareError> {
        context.program(self.info.name)?;
        Ok(Box::new(KvmLauncher(self.launcher.clone())))
    }
}

/// The launcher of `floor-kvm`.
#[derive(Debug)]
struct KvmLauncher(PathBuf);

impl Prepared for KvmLauncher {
    /// The floor understands the arguments of `isobench-workload price --op exit`. With any other
    /// arguments, the floor prints the ready line at the first exit.
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
