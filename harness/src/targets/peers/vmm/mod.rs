//! What the peers that are VMMs share: they boot the kernel and the files of `microvm-linux`, written out for each
//! instance ahead of any timing, since they take an initramfs from a file only.

pub mod cloud_hypervisor;
pub mod firecracker;
pub mod qemu;
#[cfg(test)]
mod tests;

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytesize::ByteSize;
use isobench_workloads::guest_init::Orders;

use crate::instance::command_line::Leftovers;
use crate::targets::Launch;
use crate::targets::guest::availability::GuestKernel;
use crate::targets::guest::files::GuestFiles;
use crate::targets::guest::kernel::Kernel;

/// Guest memory unless asked otherwise: as much as isobench's own microVMs have.
const MEMORY: ByteSize = ByteSize::mib(128);
/// The first disk of a guest with virtio.
const DISK: &str = "/dev/vda";
/// What every guest's kernel is told, as isobench's own VMM tells it; a triple fault resets each of these machines at
/// once, whether or not it has a keyboard controller.
const COMMAND_LINE: &str =
    "panic=-1 reboot=t console=ttyS0 quiet 8250.nr_uarts=1 acpi=off no_timer_check";

/// The guest of all instances.
#[derive(Debug)]
struct Guest {
    init: PathBuf,
    kernel: GuestKernel,
    instances: AtomicU64,
}

/// The guest of one instance.
#[derive(Debug)]
struct Boot<'g> {
    kernel: &'g Kernel,
    initramfs: PathBuf,
    memory: ByteSize,
    /// The instance's own.
    directory: PathBuf,
}

impl Guest {
    /// A guest whose `/init` is the workload.
    fn new(workload: &Path) -> Self {
        Self {
            init: workload.to_owned(),
            kernel: GuestKernel::find(),
            instances: AtomicU64::new(0),
        }
    }

    /// Writes the files of an instance; `orders` say how its output gets out.
    fn boot(&self, launch: &Launch, orders: Orders) -> io::Result<Boot<'_>> {
        let number = self.instances.fetch_add(1, Ordering::Relaxed);
        let directory = launch.root.join(format!("instance-{number}"));
        fs::create_dir(&directory)?;
        let initramfs = directory.join("initramfs");
        let files = GuestFiles {
            init: &self.init,
            program: launch.program,
            image: None,
            files: &[],
            modules: &[],
        };
        let program = launch.program.as_os_str();
        let arguments = std::iter::once(program).chain(launch.arguments.iter().map(AsRef::as_ref));
        let word = |word: &std::ffi::OsStr| CString::new(word.as_bytes());
        let orders = Orders {
            input: launch.holds_input,
            arguments: arguments.map(word).collect::<Result<_, _>>()?,
            environment: launch
                .environment
                .iter()
                .map(|variable| word(variable))
                .collect::<Result<_, _>>()?,
            ..orders
        };
        let archive = files.archive(orders).map_err(io::Error::other)?;
        archive
            .save(&File::create_new(&initramfs)?)
            .map_err(io::Error::other)?;
        Ok(Boot {
            kernel: self.kernel.get()?,
            initramfs,
            memory: launch.memory.unwrap_or(MEMORY),
            directory,
        })
    }
}

impl Boot<'_> {
    /// What goes with the instance.
    fn leftovers(&self) -> Leftovers {
        Leftovers {
            directory: Some(self.directory.clone()),
            ..Leftovers::default()
        }
    }
}

/// The error for what a VMM's interface has no words for.
fn refused(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
