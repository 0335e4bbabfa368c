//! Rung 0: a bare process. Nothing is added; its figures are the floor of every other row.

use std::io;
use std::path::{Path, PathBuf};

use isobench_container::Network;
use isobench_reports::model::{TargetKind, Unavailable};

use super::{Launch, Target};
use crate::host::facts::HostReport;
use crate::instance::command_line::CommandLine;

#[derive(Debug)]
pub struct Process;

impl Target for Process {
    fn name(&self) -> &'static str {
        "process"
    }

    fn description(&self) -> &'static str {
        "A bare process: spawn and exec, no isolation."
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Rung(0)
    }

    fn networks(&self) -> &'static [Network] {
        &[Network::Host]
    }

    fn shows_its_files(&self) -> bool {
        true
    }

    fn unavailable(&self, _: &HostReport) -> Option<Unavailable> {
        None
    }

    fn disk_path(&self, disk: &Path) -> PathBuf {
        disk.to_owned()
    }

    fn files_path(&self, files: &Path) -> Option<PathBuf> {
        Some(files.to_owned())
    }

    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let mut command = CommandLine::new(launch.program).args(&launch.arguments);
        command.environment.clone_from(&launch.environment);
        Ok(command)
    }
}
