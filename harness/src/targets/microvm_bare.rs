//! Rung 2: isobench's own KVM microVM without a guest OS, started by the launcher `isobench-vmm`.

use std::io;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use isobench_reports::model::{Part, TargetKind, Unavailable};
use isobench_vmm::phase::Phase;

use super::{DiskAccess, Launch, Marks, Target, part};
use crate::host::facts::{HostReport, Need};
use crate::instance::command_line::{CommandLine, MARKS_DESCRIPTOR};

/// Guest memory unless asked otherwise; it is paged on demand, so that it costs nothing until touched.
const MEMORY: ByteSize = ByteSize::mib(128);

#[derive(Debug)]
pub struct BareMicrovm {
    launcher: PathBuf,
}

impl BareMicrovm {
    pub fn new(launcher: &Path) -> Self {
        Self {
            launcher: launcher.to_owned(),
        }
    }
}

impl Target for BareMicrovm {
    fn name(&self) -> &'static str {
        "microvm-bare"
    }

    fn description(&self) -> &'static str {
        "A KVM virtual machine without a guest OS: every system call is a VM exit, served by the VMM."
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Rung(2)
    }

    fn floor(&self) -> Option<&'static str> {
        Some("floor-kvm")
    }

    fn phases(&self) -> Vec<Part> {
        Phase::ALL
            .iter()
            .map(|phase| part(phase.name(), phase.explanation()))
            .collect()
    }

    fn has_kernel(&self) -> bool {
        false
    }

    fn counts_exits(&self) -> bool {
        true
    }

    fn limits_memory(&self) -> bool {
        true
    }

    fn shows_its_files(&self) -> bool {
        true
    }

    fn unavailable(&self, host: &HostReport) -> Option<Unavailable> {
        host.lacks(Need::Kvm)
    }

    fn disk_path(&self, _: &Path) -> PathBuf {
        "/dev/vda".into()
    }

    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let mut command = CommandLine::new(&self.launcher).args(["run"]);
        let arguments = &mut command.arguments;
        if launch.marks != Marks::None {
            arguments.extend(["--marks-fd".into(), MARKS_DESCRIPTOR.to_string().into()]);
        }
        if launch.marks == Marks::PhasesAndExits {
            arguments.push("--count-exits".into());
        }
        let memory = launch.memory.unwrap_or(MEMORY);
        arguments.extend(["--memory".into(), format!("{}B", memory.as_u64()).into()]);
        if let Some(disk) = launch.disk {
            let option = if launch.access == DiskAccess::ReadOnly {
                "--read-only-disk"
            } else {
                "--disk"
            };
            arguments.extend([option.into(), disk.into()]);
        }
        for variable in &launch.environment {
            arguments.extend(["--env".into(), variable.clone()]);
        }
        arguments.push("--".into());
        arguments.push(launch.program.into());
        arguments.extend(launch.arguments.iter().cloned());
        Ok(command)
    }
}
