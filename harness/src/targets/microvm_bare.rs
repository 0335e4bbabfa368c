//! Rung 2: isobench's own KVM microVM without a guest OS, started by the launcher `isobench-vmm`.

use std::io;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use isobench_container::Network;
use isobench_reports::model::{TargetFamily, TargetKind};
use isobench_vmm::bare::Phase;

use super::{
    Availability, Beginning, Capabilities, Capability, DiskAccess, InsidePath, Launch, Marks,
    MemoryLimit, PrepareContext, PrepareError, Prepared, Target, TargetInfo, phase,
};
use crate::host::facts::{HostReport, Need};
use crate::instance::command_line::{CommandLine, MARKS_DESCRIPTOR};

/// The default size of guest memory. The host allocates a page when the guest first touches the
/// page, so untouched memory costs nothing.
const MEMORY: ByteSize = ByteSize::mib(128);

/// The target `microvm-bare`, rung 2.
#[derive(Debug)]
pub struct BareMicrovm {
    info: TargetInfo,
    launcher: PathBuf,
}

impl BareMicrovm {
    pub fn new(launcher: &Path) -> Self {
        let description = "A KVM virtual machine without a guest OS: every system call is a VM \
                           exit, served by the VMM.";
        let phases = Phase::ALL.iter();
        Self {
            info: TargetInfo {
                floor: Some("floor-kvm"),
                phases: phases
                    .map(|step| phase(step.name(), step.explanation()))
                    .collect(),
                capabilities: Capabilities::OF_MOST_PEERS
                    .without(Capability::KernelServices)
                    .with(Capability::ExposeFiles)
                    .with(Capability::CountExits)
                    .with(Capability::HoldBeforeProgram)
                    .with(Capability::CloneWhole)
                    .with(Capability::KeepSnapshots),
                limits: &[
                    "one process: fork, vfork and execve fail; microvm-linux has them",
                    "sockets of TCP over IPv4 alone, and only with --net",
                ],
                // A TAP device gives a link to the host, as a veth pair does.
                networks: &[Network::None, Network::Loopback, Network::Veth],
                memory_limit: Some(MemoryLimit::GuestMemory),
                disk: InsidePath::At("/dev/vda"),
                ..TargetInfo::new(
                    TargetKind::Rung(2),
                    TargetFamily::MicroVm,
                    "microvm-bare",
                    description,
                )
            },
            launcher: launcher.to_owned(),
        }
    }
}

impl Target for BareMicrovm {
    fn info(&self) -> &TargetInfo {
        &self.info
    }

    fn availability(&self, host: &HostReport) -> Availability {
        Availability::built_in(host.lacks(Need::Kvm))
    }

    fn prepare(&self, context: &PrepareContext) -> Result<Box<dyn Prepared>, PrepareError> {
        context.program(self.info.name)?;
        Ok(Box::new(BareLauncher(self.launcher.clone())))
    }
}

/// The launcher of bare guests.
#[derive(Debug)]
struct BareLauncher(PathBuf);

impl Prepared for BareLauncher {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let mut command = CommandLine::new(&self.0).args(["run"]);
        let arguments = &mut command.arguments;
        if launch.marks != Marks::None {
            arguments.extend(["--marks-fd".into(), MARKS_DESCRIPTOR.to_string().into()]);
        }
        arguments.extend(launch.beginning.options());
        command.holds = launch.beginning == Beginning::Held;
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
        let network = match launch.network {
            Some(Network::Loopback) => Some("loopback"),
            Some(Network::Veth) => Some("tap"),
            Some(Network::None | Network::Host) | None => None,
        };
        if let Some(network) = network {
            arguments.extend(["--net".into(), network.into()]);
        }
        for variable in &launch.environment {
            arguments.extend(["--env".into(), variable.clone()]);
        }
        if let Some(name) = &launch.name {
            arguments.extend(["--argv0".into(), name.clone()]);
        }
        arguments.push("--".into());
        arguments.push(launch.program.into());
        arguments.extend(launch.arguments.iter().cloned());
        Ok(command)
    }
}
