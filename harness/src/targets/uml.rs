//! Rung 3: a Linux kernel as an ordinary process (user-mode Linux), started by the launcher
//! `isobench-vmm --guest uml`.

use std::path::{Path, PathBuf};

use isobench_container::Network;
use isobench_reports::model::{TargetFamily, TargetKind};
use isobench_uml::Phase;
use isobench_workloads::guest_init::SHARED;

use super::guest::availability::GuestKernel;
use super::guest::kernel::Architecture;
use super::guest::launcher::{GuestKind, GuestLauncher};
use super::{
    Availability, Capabilities, Capability, InsidePath, MemoryLimit, PrepareContext, PrepareError,
    Prepared, Target, TargetInfo, phase,
};
use crate::host::facts::HostReport;

/// The target `uml`, rung 3.
#[derive(Debug)]
pub struct UserModeLinux {
    info: TargetInfo,
    launcher: PathBuf,
    kernel: GuestKernel,
}

impl UserModeLinux {
    pub fn new(launcher: &Path) -> Self {
        let description = "A Linux kernel as an ordinary process, without a virtual machine: each \
                           system call is caught with ptrace.";
        let phases = Phase::ALL.iter();
        Self {
            info: TargetInfo {
                phases: phases
                    .map(|step| phase(step.name(), step.explanation()))
                    .collect(),
                capabilities: Capabilities::OF_RUNTIMES_OF_IMAGES
                    .without(Capability::BypassPageCache)
                    .without(Capability::BeTraced)
                    .with(Capability::ExposeFiles),
                limits: &[
                    "one processor; each system call takes some 20 us",
                    "its disk always goes through the host's page cache",
                ],
                // A TAP device gives a link to the host, as a veth pair does.
                networks: &[Network::None, Network::Loopback, Network::Veth],
                memory_limit: Some(MemoryLimit::GuestMemory),
                disk: InsidePath::At("/dev/ubda"),
                files: Some(InsidePath::At(SHARED)),
                ..TargetInfo::new(
                    TargetKind::Rung(3),
                    TargetFamily::UserSpaceKernel,
                    "uml",
                    description,
                )
            },
            launcher: launcher.to_owned(),
            kernel: GuestKernel::find(Architecture::Um),
        }
    }
}

impl Target for UserModeLinux {
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
        let launcher = GuestLauncher::new(&self.launcher, GuestKind::Uml, kernel, context);
        Ok(Box::new(launcher))
    }
}
