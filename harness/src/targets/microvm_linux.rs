//! Rung 4: isobench's own KVM microVM with a Linux kernel, started by the launcher
//! `isobench-vmm --guest linux`.

use std::path::{Path, PathBuf};

use isobench_container::Network;
use isobench_reports::model::{TargetFamily, TargetKind};
use isobench_vmm::linux::Phase;

use super::guest::availability::GuestKernel;
use super::guest::kernel::Architecture;
use super::guest::launcher::{GuestKind, GuestLauncher};
use super::{
    Availability, Capabilities, Capability, InsidePath, MemoryLimit, PrepareContext, PrepareError,
    Prepared, Target, TargetInfo, phase,
};
use crate::host::facts::HostReport;

/// The target `microvm-linux`, rung 4.
#[derive(Debug)]
pub struct LinuxMicrovm {
    info: TargetInfo,
    launcher: PathBuf,
    kernel: GuestKernel,
}

impl LinuxMicrovm {
    pub fn new(launcher: &Path) -> Self {
        let description = "A KVM virtual machine with a Linux kernel: system calls stay inside, \
                           the disk is virtio.";
        let phases = Phase::ALL.iter();
        Self {
            info: TargetInfo {
                phases: phases
                    .map(|step| phase(step.name(), step.explanation()))
                    .collect(),
                capabilities: Capabilities::OF_RUNTIMES_OF_IMAGES
                    .with(Capability::ExposeFiles)
                    .with(Capability::CountExits)
                    .with(Capability::ExitOnPurpose),
                // A TAP device gives a link to the host, as a veth pair does.
                networks: &[Network::None, Network::Loopback, Network::Veth],
                memory_limit: Some(MemoryLimit::GuestMemory),
                disk: InsidePath::At("/dev/vda"),
                ..TargetInfo::new(
                    TargetKind::Rung(4),
                    TargetFamily::MicroVm,
                    "microvm-linux",
                    description,
                )
            },
            launcher: launcher.to_owned(),
            kernel: GuestKernel::find(Architecture::X86_64),
        }
    }
}

impl Target for LinuxMicrovm {
    fn info(&self) -> &TargetInfo {
        &self.info
    }

    fn availability(&self, host: &HostReport) -> Availability {
        Availability {
            version: self.kernel.version(),
            unavailable: self.kernel.unavailable(host),
        }
    }

    fn prepare(&self, context: &PrepareContext) -> Result<Box<dyn Prepared>, PrepareError> {
        let kernel = self.kernel.get()?;
        let launcher = GuestLauncher::new(&self.launcher, GuestKind::Linux, kernel, context);
        Ok(Box::new(launcher))
    }
}
