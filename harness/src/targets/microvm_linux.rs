//! Rung 3: isobench's own KVM microVM with a Linux kernel, started by the launcher `isobench-vmm --guest linux`.

use std::io;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use isobench_container::Network;
use isobench_reports::model::{Part, TargetKind, Unavailable};
use isobench_vmm::linux::phase::Phase;

use super::guest::availability::GuestKernel;
use super::{DiskAccess, InImage, Launch, Marks, Target, part};
use crate::host::facts::HostReport;
use crate::instance::command_line::{CommandLine, MARKS_DESCRIPTOR};

/// Guest memory unless asked otherwise; it is paged on demand, so that it costs nothing until touched.
const MEMORY: ByteSize = ByteSize::mib(128);

#[derive(Debug)]
pub struct LinuxMicrovm {
    launcher: PathBuf,
    kernel: GuestKernel,
}

impl LinuxMicrovm {
    pub fn new(launcher: &Path) -> Self {
        Self {
            launcher: launcher.to_owned(),
            kernel: GuestKernel::find(),
        }
    }

    fn options(&self, launch: &Launch, memory: Option<ByteSize>) -> io::Result<CommandLine> {
        let kernel = self.kernel.get()?;
        let mut command = CommandLine::new(&self.launcher)
            .args(["run", "--guest", "linux"])
            .args(["--kernel".as_ref(), kernel.image.as_os_str()]);
        let arguments = &mut command.arguments;
        if launch.marks != Marks::None {
            arguments.extend(["--marks-fd".into(), MARKS_DESCRIPTOR.to_string().into()]);
        }
        if launch.marks == Marks::PhasesAndExits {
            arguments.push("--count-exits".into());
        }
        if let Some(memory) = memory {
            arguments.extend(["--memory".into(), format!("{}B", memory.as_u64()).into()]);
        }
        if let Some(disk) = launch.disk {
            let option = match launch.access {
                DiskAccess::ReadOnly => "--read-only-disk",
                DiskAccess::Direct => "--direct-disk",
                DiskAccess::Buffered => "--disk",
            };
            arguments.extend([option.into(), disk.into()]);
        }
        if launch.network == Some(Network::Veth) {
            arguments.extend(["--net".into(), "tap".into()]);
        }
        for variable in &launch.environment {
            arguments.extend(["--env".into(), variable.clone()]);
        }
        Ok(command)
    }
}

impl Target for LinuxMicrovm {
    fn name(&self) -> &'static str {
        "microvm-linux"
    }

    fn description(&self) -> &'static str {
        "A KVM virtual machine with a Linux kernel: system calls stay inside, the disk is virtio."
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Rung(3)
    }

    fn phases(&self) -> Vec<Part> {
        Phase::ALL
            .iter()
            .map(|phase| part(phase.name(), phase.explanation()))
            .collect()
    }

    fn version(&self) -> Option<String> {
        self.kernel.version()
    }

    fn counts_exits(&self) -> bool {
        true
    }

    fn prices_exits(&self) -> bool {
        true
    }

    /// A TAP device makes a link to the host as a veth pair does.
    fn networks(&self) -> &'static [Network] {
        &[Network::None, Network::Veth]
    }

    fn limits_memory(&self) -> bool {
        true
    }

    fn shows_its_files(&self) -> bool {
        true
    }

    fn unavailable(&self, host: &HostReport) -> Option<Unavailable> {
        self.kernel.unavailable(host)
    }

    fn disk_path(&self, _: &Path) -> PathBuf {
        "/dev/vda".into()
    }

    fn runs_images(&self) -> bool {
        true
    }

    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let memory = launch.memory.unwrap_or(MEMORY);
        Ok(with_program(self.options(launch, Some(memory))?, launch))
    }

    /// Its files decide how much memory it needs, unless the user does.
    fn command_in_image(&self, launch: &Launch, image: &InImage<'_>) -> io::Result<CommandLine> {
        let mut command = self.options(launch, launch.memory)?;
        let arguments = &mut command.arguments;
        for layer in image.layers {
            arguments.extend(["--layer".into(), layer.into()]);
        }
        arguments.extend(["--workdir".into(), image.working_directory.into()]);
        arguments.extend(["--user".into(), image.user.to_string().into()]);
        Ok(with_program(command, launch))
    }
}

fn with_program(mut command: CommandLine, launch: &Launch) -> CommandLine {
    let arguments = &mut command.arguments;
    arguments.push("--".into());
    arguments.push(launch.program.into());
    arguments.extend(launch.arguments.iter().cloned());
    command
}
