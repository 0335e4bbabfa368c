//! Rung 3: isobench's own KVM microVM with a Linux kernel, started by the launcher
//! `isobench-vmm --guest linux`.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use isobench_container::Network;
use isobench_reports::model::{TargetFamily, TargetKind};
use isobench_vmm::linux::Phase;

use super::guest::availability::GuestKernel;
use super::{
    Availability, Capabilities, Capability, Contents, DiskAccess, InsidePath, Launch, Marks,
    MemoryLimit, PrepareContext, PrepareError, Prepared, Target, TargetInfo, phase,
};
use crate::host::facts::HostReport;
use crate::instance::command_line::{CommandLine, MARKS_DESCRIPTOR};

/// The default size of guest memory. The host allocates a page when the guest first touches the
/// page, so untouched memory costs nothing.
const MEMORY: ByteSize = ByteSize::mib(128);

/// The target `microvm-linux`, rung 3.
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
                networks: &[Network::None, Network::Veth],
                memory_limit: Some(MemoryLimit::GuestMemory),
                disk: InsidePath::At("/dev/vda"),
                ..TargetInfo::new(
                    TargetKind::Rung(3),
                    TargetFamily::MicroVm,
                    "microvm-linux",
                    description,
                )
            },
            launcher: launcher.to_owned(),
            kernel: GuestKernel::find(),
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
        let mut image_options = Vec::new();
        // The launcher gives a guest with an image as much memory as the image needs.
        let mut default_memory = None;
        match context.contents {
            Contents::Program(_) => default_memory = Some(MEMORY),
            Contents::Image(image) => {
                for layer in image.layers {
                    image_options.extend(["--layer".into(), layer.into()]);
                }
                image_options.extend(["--workdir".into(), image.working_directory.into()]);
                image_options.extend(["--user".into(), image.user.to_string().into()]);
            }
        }
        Ok(Box::new(LinuxLauncher {
            program: self.launcher.clone(),
            kernel: self.kernel.get()?.image.clone(),
            image_options,
            default_memory,
        }))
    }
}

/// The launcher of Linux guests, and the kernel that the guests boot.
#[derive(Debug)]
struct LinuxLauncher {
    program: PathBuf,
    kernel: PathBuf,
    /// The options for the guest's image. Empty without an image.
    image_options: Vec<OsString>,
    /// The default size of guest memory; `None` if the launcher chooses the size.
    default_memory: Option<ByteSize>,
}

impl Prepared for LinuxLauncher {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let mut command = CommandLine::new(&self.program)
            .args(["run", "--guest", "linux"])
            .args(["--kernel".as_ref(), self.kernel.as_os_str()]);
        let arguments = &mut command.arguments;
        if launch.marks != Marks::None {
            arguments.extend(["--marks-fd".into(), MARKS_DESCRIPTOR.to_string().into()]);
        }
        if launch.marks == Marks::PhasesAndExits {
            arguments.push("--count-exits".into());
        }
        if let Some(memory) = launch.memory.or(self.default_memory) {
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
        if launch.surroundings.have_terminals() {
            arguments.push("--terminals".into());
        }
        for variable in &launch.environment {
            arguments.extend(["--env".into(), variable.clone()]);
        }
        arguments.extend(self.image_options.iter().cloned());
        if let Some(name) = &launch.name {
            arguments.extend(["--argv0".into(), name.clone()]);
        }
        arguments.push("--".into());
        arguments.push(launch.program.into());
        arguments.extend(launch.arguments.iter().cloned());
        Ok(command)
    }
}
