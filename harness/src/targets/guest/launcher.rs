//! The launcher of guests with a Linux kernel, `isobench-vmm run --guest linux` and `--guest uml`.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use isobench_container::Network;

use super::kernel::Kernel;
use crate::instance::command_line::{CommandLine, MARKS_DESCRIPTOR};
use crate::targets::{Contents, DiskAccess, Launch, Marks, PrepareContext, Prepared};

/// The default size of guest memory. The host allocates a page when the guest first touches the
/// page, so untouched memory costs nothing.
const MEMORY: ByteSize = ByteSize::mib(128);

/// What a guest's kernel runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::targets) enum GuestKind {
    /// A virtual machine.
    Linux,
    /// A process.
    Uml,
}

impl GuestKind {
    /// The kind's name on the launcher's command line.
    const fn name(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Uml => "uml",
        }
    }
}

/// The launcher, and the kernel that the guests boot.
#[derive(Debug)]
pub(in crate::targets) struct GuestLauncher {
    program: PathBuf,
    kind: GuestKind,
    kernel: PathBuf,
    /// The options for the guest's image. Empty without an image.
    image_options: Vec<OsString>,
    /// The default size of guest memory; `None` if the launcher chooses the size.
    default_memory: Option<ByteSize>,
}

impl GuestLauncher {
    pub(in crate::targets) fn new(
        program: &Path,
        kind: GuestKind,
        kernel: &Kernel,
        context: &PrepareContext,
    ) -> Self {
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
        Self {
            program: program.to_owned(),
            kind,
            kernel: kernel.image.clone(),
            image_options,
            default_memory,
        }
    }

    /// The options for the launch's disk.
    fn disk(&self, launch: &Launch, disk: &Path) -> io::Result<[OsString; 2]> {
        let option = match (launch.access, self.kind) {
            (DiskAccess::ReadOnly, _) => "--read-only-disk",
            (DiskAccess::Direct, GuestKind::Linux) => "--direct-disk",
            (DiskAccess::Direct, GuestKind::Uml) => {
                return Err(io::Error::other(
                    "user-mode Linux's disk always goes through the host's page cache",
                ));
            }
            (DiskAccess::Buffered, _) => "--disk",
        };
        Ok([option.into(), disk.into()])
    }
}

impl Prepared for GuestLauncher {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let mut command = CommandLine::new(&self.program)
            .args(["run", "--guest", self.kind.name()])
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
            arguments.extend(self.disk(launch, disk)?);
        }
        if let Some(shared) = launch.files {
            arguments.extend(["--share".into(), shared.into()]);
        }
        let network = match launch.network {
            Some(Network::Loopback) => Some("loopback"),
            Some(Network::Veth) => Some("tap"),
            Some(Network::None | Network::Host) | None => None,
        };
        if let Some(network) = network {
            arguments.extend(["--net".into(), network.into()]);
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
