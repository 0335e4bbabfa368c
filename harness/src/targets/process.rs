//! Rung 0: a bare process. Nothing is added; its figures are the floor of every other row.

use std::io;

use isobench_container::Network;
use isobench_reports::model::{TargetFamily, TargetKind};

use super::{
    Capability, Launch, Place, PrepareError, Prepared, Presence, Setup, Target, TargetInfo,
};
use crate::host::facts::HostReport;
use crate::instance::command_line::CommandLine;

/// Rung 0.
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

/// A bare process under another name.
pub(super) fn info(kind: TargetKind, name: &'static str, description: &'static str) -> TargetInfo {
    TargetInfo {
        capabilities: &[
            Capability::RunPrograms,
            Capability::KernelServices,
            Capability::TellEndOfInput,
            Capability::ShowFiles,
        ],
        networks: &[Network::Host],
        files: Some(Place::AsOnHost),
        ..TargetInfo::new(kind, TargetFamily::Process, name, description)
    }
}

impl Target for Process {
    fn info(&self) -> &TargetInfo {
        &self.info
    }

    fn presence(&self, _: &HostReport) -> Presence {
        Presence::default()
    }

    fn prepare(&self, setup: &Setup) -> Result<Box<dyn Prepared>, PrepareError> {
        setup.program(self.info.name)?;
        Ok(Box::new(BareProcess))
    }
}

/// Needs nothing but the program.
#[derive(Debug)]
pub(super) struct BareProcess;

impl Prepared for BareProcess {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let mut command = CommandLine::new(launch.program).args(&launch.arguments);
        command.environment.clone_from(&launch.environment);
        Ok(command)
    }
}
