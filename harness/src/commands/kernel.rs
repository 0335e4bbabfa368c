//! `isobench kernel`: the kernel of Linux guests.

use std::process::ExitCode;

use anyhow::Context as _;

use crate::commands::arguments::{KernelArguments, KernelCommand};
use crate::commands::output::say;
use crate::host::interrupt::Interrupt;
use crate::targets::guest::kernel::{self, Kernel, build};

/// Builds the guest kernel, or prints its path.
///
/// # Errors
/// There is no kernel, or the kernel can't be built.
pub fn kernel(arguments: &KernelArguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        KernelCommand::Build { source } => {
            let interrupt = Interrupt::install().context("cannot catch signals")?;
            let built = build::build(source.as_deref(), &interrupt)?;
            eprintln!("kernel: {}", describe(&built.kernel, built.reused));
            say(built.kernel.image.display());
        }
        KernelCommand::Path => say(kernel::locate(None)?.image.display()),
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(kernel: &Kernel, reused: bool) -> String {
    let what = kernel.record.as_ref().map_or(String::new(), |record| {
        format!("Linux {} from {}", record.version, record.source)
    });
    format!(
        "{what}{}",
        if reused {
            ", built earlier"
        } else {
            ", built now"
        }
    )
}
