//! `isobench exec`: any static program in any target, or a program of an image, with its streams and
//! its exit code passed through.

mod foreground;
mod grace;
mod image;
mod instance;
mod orphans;
mod program;

use std::process::ExitCode;

use anyhow::Context as _;

use crate::commands::arguments::ExecArguments;
use crate::host::descriptors::CallersDescriptors;
use crate::host::interrupt::Interrupt;

/// Runs the program and gives its exit code, or 128 + the signal that ended the program.
///
/// # Errors
/// [`BadInput`](super::failure::BadInput) for a program, a target, an image, a disk or
/// descriptors that can't be;
/// else what failed.
pub fn exec(arguments: &ExecArguments, inherited: CallersDescriptors) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::install().context("cannot catch signals")?;
    let outcome = match &arguments.image {
        Some(image) => image::exec(arguments, image, inherited, &interrupt),
        None => program::exec(arguments, inherited, &interrupt),
    };
    interrupt.explain(outcome)
}
