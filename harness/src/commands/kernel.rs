//! `isobench kernel`: the kernel of Linux guests.

use std::process::ExitCode;

use anyhow::Context as _;

use crate::commands::arguments::{KernelArguments, KernelCommand};
use crate::host::interrupt::Interrupt;
use crate::streams::{say, tell};
use crate::targets::guest::kernel::build::{self, Built};
use crate::targets::guest::kernel::{self, Kernel};

/// Builds the guest kernel, or prints its path.
///
/// # Errors
/// There is no kernel, or the kernel can't be built.
pub fn kernel(arguments: &KernelArguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        KernelCommand::Build { source, arch } => {
            let interrupt = Interrupt::install().context("cannot catch signals")?;
            let built = build::build(*arch, source.as_deref(), &interrupt)?;
            let (kernel, when) = match &built {
                Built::New(kernel) => (kernel, "built now"),
                Built::Reused(kernel) => (kernel, "built earlier"),
            };
            tell(format_args!("kernel: {}, {when}", describe(kernel)));
            say(kernel.image.display())?;
        }
        KernelCommand::Path { arch } => say(kernel::locate(*arch)?.image.display())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The kernel's version and source; empty if they are unknown.
fn describe(kernel: &Kernel) -> String {
    kernel.record.as_ref().map_or(String::new(), |record| {
        format!("Linux {} from {}", record.version, record.source)
    })
}
