//! The peers that are VMMs. They boot the kernel and the files of `microvm-linux`. A VMM reads the
//! initramfs from a file, so the files of each instance are written before the clock starts.
//!
//! Each VMM has one file with its [`VmmAdapter`]. All VMMs share everything else.

pub mod cloud_hypervisor;
pub mod firecracker;
pub mod qemu;
#[cfg(test)]
mod tests;

use std::ffi::{CString, OsStr};
use std::fmt::Debug;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use isobench_container::User;
use isobench_reports::model::TargetFamily;
use isobench_workloads::guest_init::Orders;

use super::instance::InstanceCounter;
use super::program::{Program, path_variable};
use crate::host::facts::HostReport;
use crate::instance::command_line::{CommandLine, Leftovers};
use crate::targets::guest::availability::GuestKernel;
use crate::targets::guest::files::{GuestFiles, GuestImage};
use crate::targets::guest::kernel::{Architecture, Kernel};
use crate::targets::guest::memory;
use crate::targets::{
    Availability, Capabilities, Capability, Contents, InsidePath, Launch, MemoryLimit, Pace,
    PrepareContext, PrepareError, Prepared, Target, TargetInfo,
};

/// The default size of guest memory, as in isobench's own microVMs.
const MEMORY: ByteSize = ByteSize::mib(128);
/// The kernel's command line, as isobench's own VMM gives it. `reboot=t` resets by a triple fault,
/// which works in each of these machines, with or without a keyboard controller.
const COMMAND_LINE: &str =
    "panic=-1 reboot=t console=ttyS0 quiet 8250.nr_uarts=1 acpi=off no_timer_check";

/// The difference of a VMM that isobench's tests never start.
const UNTESTED: &str =
    "the adapter follows the documented interface and is untested on the real program";
/// The difference of a VMM whose guests write to the serial port.
const SERIAL_OUTPUT: &str = "output leaves the guest by the serial port, with one VM exit for each \
    byte; standard error shares the port";
/// The difference of every VMM that reads the initramfs from a file.
const PREPARED_ARCHIVE: &str =
    "the guest's files are in an archive that is written before the start, not during the start";
/// The capabilities of a VMM: the end of its input doesn't reach the guest.
const OF_VMMS: Capabilities =
    Capabilities::OF_RUNTIMES_OF_IMAGES.without(Capability::PassEndOfInput);
/// The capabilities of a VMM that passes no exit code on.
const WITHOUT_EXIT_CODE: Capabilities = OF_VMMS.without(Capability::PassFailure);
/// The difference of a VMM that passes neither the end of its input nor an exit code on.
const NO_EXIT_CODE: &str = "standard input never ends, and there is no exit code: an exit code \
    other \
    than 0 is a line of the output";

/// How isobench calls a VMM.
pub trait VmmAdapter: Debug + Sync {
    /// How a guest writes its output, and how it ends.
    fn orders(&self) -> Orders;

    /// Refuses a launch that the VMM's interface can't express.
    ///
    /// # Errors
    /// The error says what the interface lacks.
    fn check(&self, launch: &Launch) -> io::Result<()> {
        let _ = launch;
        Ok(())
    }

    /// The command line of one instance. `vmm` is the path of the VMM's program.
    ///
    /// # Errors
    /// A file could not be made in the instance's directory.
    fn command(&self, vmm: &Path, launch: &Launch, guest: &Guest) -> io::Result<CommandLine>;
}

/// A target that is a VMM.
#[derive(Debug)]
pub struct Vmm {
    info: TargetInfo,
    program: Program,
    adapter: &'static dyn VmmAdapter,
    /// The path of the workload, which is a guest's `/init`.
    init: PathBuf,
    kernel: GuestKernel,
    /// Whether the VMM runs guests by KVM.
    needs_kvm: bool,
}

impl Vmm {
    fn new(
        info: TargetInfo,
        program: Program,
        adapter: &'static dyn VmmAdapter,
        init: &Path,
    ) -> Self {
        Self {
            info,
            program,
            adapter,
            init: init.to_owned(),
            kernel: GuestKernel::find(Architecture::X86_64),
            needs_kvm: true,
        }
    }

    /// The VMM with a processor of its own, for which the host needs no KVM.
    fn without_kvm(self) -> Self {
        Self {
            needs_kvm: false,
            ..self
        }
    }
}

/// The parts of a description that are the same for all VMMs.
fn vmm_info(family: TargetFamily, name: &'static str, description: &'static str) -> TargetInfo {
    TargetInfo {
        pace: Pace::Slow,
        capabilities: OF_VMMS,
        memory_limit: Some(MemoryLimit::GuestMemory),
        // The name of the first virtio disk in a Linux guest.
        disk: InsidePath::At("/dev/vda"),
        ..TargetInfo::peer(family, name, description)
    }
}

impl Target for Vmm {
    fn info(&self) -> &TargetInfo {
        &self.info
    }

    fn availability(&self, host: &HostReport) -> Availability {
        let availability = self.program.availability(|_| {
            if self.needs_kvm {
                self.kernel.unavailable(host)
            } else {
                self.kernel.get().err()
            }
        });
        let version = match (availability.version, self.kernel.version()) {
            (Some(vmm), Some(kernel)) => Some(format!("{vmm}, guest {kernel}")),
            (vmm, _) => vmm,
        };
        Availability {
            version,
            ..availability
        }
    }

    fn prepare(&self, context: &PrepareContext) -> Result<Box<dyn Prepared>, PrepareError> {
        let image = match context.contents {
            Contents::Program(_) => None,
            Contents::Image(image) => Some(ImageRoot {
                layers: image.layers.to_owned(),
                working_directory: image.working_directory.to_owned(),
                user: image.user.clone(),
            }),
        };
        Ok(Box::new(Guests {
            vmm: self.program.path()?,
            adapter: self.adapter,
            init: self.init.clone(),
            image,
            kernel: self.kernel.get()?.clone(),
            directory: context.directory.to_owned(),
            instances: InstanceCounter::default(),
        }))
    }
}

/// A prepared VMM.
#[derive(Debug)]
struct Guests {
    vmm: PathBuf,
    adapter: &'static dyn VmmAdapter,
    init: PathBuf,
    /// The root of the guests' programs; `None` for a program alone.
    image: Option<ImageRoot>,
    kernel: Kernel,
    directory: PathBuf,
    instances: InstanceCounter,
}

/// The files of an image, and how the image's programs are started.
#[derive(Debug)]
struct ImageRoot {
    layers: Vec<PathBuf>,
    working_directory: PathBuf,
    user: User,
}

/// The guest of one instance.
#[derive(Debug)]
pub struct Guest<'g> {
    kernel: &'g Kernel,
    /// The path of the archive with the guest's files.
    initramfs: PathBuf,
    memory: ByteSize,
    /// The directory for the instance's files on the host.
    directory: PathBuf,
}

impl Guests {
    /// Writes the files of an instance.
    fn new_guest(&self, launch: &Launch) -> io::Result<Guest<'_>> {
        let number = self.instances.next();
        let directory = self.directory.join(format!("instance-{number}"));
        fs::create_dir(&directory)?;
        let initramfs = directory.join("initramfs");
        let files = GuestFiles {
            init: &self.init,
            program: launch.program,
            image: self.image.as_ref().map(|image| GuestImage {
                layers: &image.layers,
                working_directory: &image.working_directory,
                user: &image.user,
            }),
            files: &[],
            modules: &[],
        };
        let archive = files
            .archive(orders(self.adapter.orders(), launch)?)
            .map_err(io::Error::other)?;
        let asked = launch.memory.map(whole_pages);
        let memory = match &self.image {
            None => asked.unwrap_or(MEMORY),
            Some(_) => memory::for_image(&archive, asked).map_err(io::Error::other)?,
        };
        archive
            .save(&File::create_new(&initramfs)?)
            .map_err(io::Error::other)?;
        Ok(Guest {
            kernel: &self.kernel,
            initramfs,
            memory,
            directory,
        })
    }
}

/// The largest size that a virtual machine can have of the `limit` of its program. Cgroups, too,
/// round down to whole pages.
fn whole_pages(limit: ByteSize) -> ByteSize {
    const PAGE: u64 = 4096;
    ByteSize(limit.as_u64() & !(PAGE - 1))
}

/// The orders for a guest's `/init`: those of the VMM, and the program of the launch.
fn orders(of_vmm: Orders, launch: &Launch) -> io::Result<Orders> {
    let word = |word: &OsStr| CString::new(word.as_bytes());
    let name = launch.name.as_deref().unwrap_or(launch.program.as_os_str());
    let arguments = std::iter::once(name).chain(launch.arguments.iter().map(AsRef::as_ref));
    let environment = launch.environment.iter();
    Ok(Orders {
        input: launch.keeps_stdin_open,
        terminals: launch.surroundings.have_terminals(),
        arguments: arguments.map(word).collect::<Result<_, _>>()?,
        environment: environment
            .map(|variable| word(variable))
            .collect::<Result<_, _>>()?,
        ..of_vmm
    })
}

impl Prepared for Guests {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        self.adapter.check(launch)?;
        let guest = self.new_guest(launch)?;
        let mut command = self.adapter.command(&self.vmm, launch, &guest)?;
        command.environment = path_variable();
        command.leftovers = Leftovers {
            directory: Some(guest.directory),
            ..Leftovers::default()
        };
        Ok(command)
    }
}

/// The error for a launch that a VMM's interface can't express.
fn unsupported(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
