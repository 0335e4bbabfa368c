//! Rung 0: a bare process, without isolation. Its figures are the baseline of all other targets.

use std::io;

use isobench_container::Network;
use isobench_reports::model::{TargetFamily, TargetKind};

use super::{
    Availability, Capability, InsidePath, Launch, PrepareContext, PrepareError, Prepared, Target,
    TargetInfo,
};
use crate::host::facts::HostReport;
use crate::instance::command_line::CommandLine;

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
        capabilities: &[
            Capability::RunPrograms,
            Capability::KernelServices,
            Capability::PassEndOfInput,
            Capability::ExposeFiles,
        ],
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
        context.program(self.info.name)?;
        Ok(Box::new(BareProcess))
    }
}

/// A prepared bare process: there is nothing to prepare.
#[derive(Debug)]
pub(super) struct BareProcess;

impl Prepared for BareProcess {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let mut command = CommandLine::new(launch.program).args(&launch.arguments);
        command.environment.clone_from(&launch.environment);
        Ok(command)
    }
}
