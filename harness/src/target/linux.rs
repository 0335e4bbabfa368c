//! Rung 3: isobench's own KVM microVM with a Linux kernel, started by the launcher `isobench-vmm --guest linux`.

use std::io;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use isobench_reports::model::{Part, TargetKind, Unavailable};
use isobench_vmm::linux::phase::Phase;

use super::{Launch, Target, part};
use crate::host::{HostReport, Need};
use crate::kernel::{self, Kernel, KernelError};
use crate::spawn::{CommandLine, MARKS_DESCRIPTOR};

/// Guest memory unless asked otherwise; it is paged on demand, so that it costs nothing until touched.
const MEMORY: ByteSize = ByteSize::mib(128);

#[derive(Debug)]
pub struct LinuxMicrovm {
    launcher: PathBuf,
    kernel: Result<Kernel, KernelError>,
}

impl LinuxMicrovm {
    /// Looks for a kernel where `isobench kernel build` leaves one, or where `ISOBENCH_KERNEL` says.
    pub fn find(launcher: &Path) -> Self {
        Self {
            launcher: launcher.to_owned(),
            kernel: kernel::locate(None),
        }
    }

    fn lacks_kernel(&self) -> Option<Unavailable> {
        let error = self.kernel.as_ref().err()?;
        let reason = match error {
            KernelError::Absent => "there is no kernel for the guest".to_owned(),
            other => other.to_string(),
        };
        Some(Unavailable {
            reason,
            fix: "build one with `isobench kernel build`, or set ISOBENCH_KERNEL to a vmlinux or bzImage"
                .to_owned(),
        })
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
        let record = self.kernel.as_ref().ok()?.record.as_ref()?;
        Some(format!(
            "Linux {}, {}, configuration {}, {}",
            record.version, record.source, record.configuration, record.toolchain
        ))
    }

    fn prices_exits(&self) -> bool {
        true
    }

    fn limits_memory(&self) -> bool {
        true
    }

    fn unavailable(&self, host: &HostReport) -> Option<Unavailable> {
        host.lacks(Need::Kvm)
            .or_else(|| host.lacks(Need::GuestKernel))
            .or_else(|| self.lacks_kernel())
    }

    fn disk_path(&self, _: &Path) -> PathBuf {
        "/dev/vda".into()
    }

    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let kernel = self.kernel.as_ref();
        let kernel = kernel.map_err(|error| io::Error::other(error.to_string()))?;
        let mut command = CommandLine::new(&self.launcher)
            .args(["run", "--guest", "linux"])
            .args(["--kernel".as_ref(), kernel.image.as_os_str()]);
        let arguments = &mut command.arguments;
        if launch.marks {
            arguments.extend(["--marks-fd".into(), MARKS_DESCRIPTOR.to_string().into()]);
        }
        let memory = launch.memory.unwrap_or(MEMORY);
        arguments.extend(["--memory".into(), format!("{}B", memory.as_u64()).into()]);
        if let Some(disk) = launch.disk {
            let option = if launch.direct {
                "--direct-disk"
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
