//! The bare process entered twice, as if it were another target: whatever differs between the two is the suite's own error.

use std::io;
use std::path::{Path, PathBuf};

use isobench_reports::model::{Part, TargetKind, Unavailable};

use super::process::Process;
use super::{Launch, Target};
use crate::host::facts::HostReport;
use crate::instance::command_line::CommandLine;

#[derive(Debug)]
pub struct Twin;

impl Target for Twin {
    fn name(&self) -> &'static str {
        "process-twin"
    }

    fn description(&self) -> &'static str {
        "The bare process once more, under another name: any difference is an error of the measurement."
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Peer
    }

    fn phases(&self) -> Vec<Part> {
        Process.phases()
    }

    fn shows_its_files(&self) -> bool {
        Process.shows_its_files()
    }

    fn unavailable(&self, host: &HostReport) -> Option<Unavailable> {
        Process.unavailable(host)
    }

    fn prepare(&self, program: &Path, root: &Path) -> io::Result<()> {
        Process.prepare(program, root)
    }

    fn disk_path(&self, disk: &Path) -> PathBuf {
        Process.disk_path(disk)
    }

    fn files_path(&self, files: &Path) -> Option<PathBuf> {
        Process.files_path(files)
    }

    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        Process.command(launch)
    }
}
