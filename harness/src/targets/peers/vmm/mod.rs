//! The peers that are VMMs. They boot the kernel and the files of `microvm-linux`, written out for
//! each instance ahead of any timing, since they take an initramfs from a file only.
//!
//! A VMM is one file with a [`Machine`]; everything else is shared.

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
use isobench_reports::model::TargetFamily;
use isobench_workloads::guest_init::Orders;

use super::instance::Counter;
use super::program::{Program, path_variable};
use crate::host::facts::HostReport;
use crate::instance::command_line::{CommandLine, Leftovers};
use crate::targets::guest::availability::GuestKernel;
use crate::targets::guest::files::GuestFiles;
use crate::targets::guest::kernel::Kernel;
use crate::targets::{
    Capability, Launch, MemoryLimit, Pace, Place, PrepareError, Prepared, Presence, Setup, Target,
    TargetInfo,
};

/// Guest memory unless asked otherwise: as much as isobench's own microVMs have.
const MEMORY: ByteSize = ByteSize::mib(128);
/// What every guest's kernel is told, as isobench's own VMM tells it; a triple fault resets each of
/// these machines at once, whether or not it has a keyboard controller.
const COMMAND_LINE: &str =
    "panic=-1 reboot=t console=ttyS0 quiet 8250.nr_uarts=1 acpi=off no_timer_check";

/// How a VMM is called.
pub trait Machine: Debug + Sync {
    /// How the output of a guest gets out.
    fn orders(&self) -> Orders;

    /// Refuses a launch that the VMM's interface has no words for.
    ///
    /// # Errors
    /// What the interface lacks.
    fn check(&self, launch: &Launch) -> io::Result<()> {
        let _ = launch;
        Ok(())
    }

    /// The command line of one instance, with `vmm` as the VMM's program.
    ///
    /// # Errors
    /// A file could not be made in the instance's directory.
    fn command(&self, vmm: &Path, launch: &Launch, boot: &Boot) -> io::Result<CommandLine>;
}

/// A VMM as a target.
#[derive(Debug)]
pub struct Vmm {
    info: TargetInfo,
    program: Program,
    machine: &'static dyn Machine,
    /// What is `/init` in a guest: the workload.
    init: PathBuf,
    kernel: GuestKernel,
}

impl Vmm {
    /// The target `info`, with the workload at `init`.
    fn new(info: TargetInfo, program: Program, machine: &'static dyn Machine, init: &Path) -> Self {
        Self {
            info,
            program,
            machine,
            init: init.to_owned(),
            kernel: GuestKernel::find(),
        }
    }
}

/// What is the same for every VMM that boots the files of `microvm-linux`.
fn vmm_info(family: TargetFamily, name: &'static str, description: &'static str) -> TargetInfo {
    TargetInfo {
        pace: Pace::Slow,
        capabilities: &[Capability::RunPrograms, Capability::KernelServices],
        memory_limit: Some(MemoryLimit::GuestMemory),
        // The first disk of a guest with virtio.
        disk: Place::At("/dev/vda"),
        ..TargetInfo::peer(family, name, description)
    }
}

impl Target for Vmm {
    fn info(&self) -> &TargetInfo {
        &self.info
    }

    fn presence(&self, host: &HostReport) -> Presence {
        let presence = self.program.presence(|_| self.kernel.unavailable(host));
        let version = match (presence.version, self.kernel.version()) {
            (Some(vmm), Some(kernel)) => Some(format!("{vmm}, guest {kernel}")),
            (vmm, _) => vmm,
        };
        Presence {
            version,
            ..presence
        }
    }

    fn prepare(&self, setup: &Setup) -> Result<Box<dyn Prepared>, PrepareError> {
        setup.program(self.info.name)?;
        Ok(Box::new(Guests {
            vmm: self.program.path()?,
            machine: self.machine,
            init: self.init.clone(),
            kernel: self.kernel.get()?.clone(),
            directory: setup.directory.to_owned(),
            instances: Counter::default(),
        }))
    }
}

/// Starts guests.
#[derive(Debug)]
struct Guests {
    vmm: PathBuf,
    machine: &'static dyn Machine,
    init: PathBuf,
    kernel: Kernel,
    directory: PathBuf,
    instances: Counter,
}

/// The guest of one instance.
#[derive(Debug)]
pub struct Boot<'g> {
    kernel: &'g Kernel,
    initramfs: PathBuf,
    memory: ByteSize,
    /// The instance's own directory.
    directory: PathBuf,
}

impl Guests {
    /// Writes the files of an instance.
    fn boot(&self, launch: &Launch) -> io::Result<Boot<'_>> {
        let number = self.instances.next();
        let directory = self.directory.join(format!("instance-{number}"));
        fs::create_dir(&directory)?;
        let initramfs = directory.join("initramfs");
        let files = GuestFiles {
            init: &self.init,
            program: launch.program,
            image: None,
            files: &[],
            modules: &[],
        };
        let archive = files
            .archive(orders(self.machine.orders(), launch)?)
            .map_err(io::Error::other)?;
        archive
            .save(&File::create_new(&initramfs)?)
            .map_err(io::Error::other)?;
        Ok(Boot {
            kernel: &self.kernel,
            initramfs,
            memory: launch.memory.unwrap_or(MEMORY),
            directory,
        })
    }
}

/// The orders for a guest's `/init`: the machine's, with the program of the launch.
fn orders(machine: Orders, launch: &Launch) -> io::Result<Orders> {
    let word = |word: &OsStr| CString::new(word.as_bytes());
    let program = launch.program.as_os_str();
    let arguments = std::iter::once(program).chain(launch.arguments.iter().map(AsRef::as_ref));
    let environment = launch.environment.iter();
    Ok(Orders {
        input: launch.holds_input,
        arguments: arguments.map(word).collect::<Result<_, _>>()?,
        environment: environment
            .map(|variable| word(variable))
            .collect::<Result<_, _>>()?,
        ..machine
    })
}

impl Prepared for Guests {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        self.machine.check(launch)?;
        let boot = self.boot(launch)?;
        let mut command = self.machine.command(&self.vmm, launch, &boot)?;
        command.environment = path_variable();
        command.leftovers = Leftovers {
            directory: Some(boot.directory),
            ..Leftovers::default()
        };
        Ok(command)
    }
}

/// The error for what a VMM's interface has no words for.
fn refused(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
