//! `isobench exec`: any static program in any target, or a program of an image, with its streams and
//! its exit code passed through.

mod foreground;
mod image;
mod instance;
mod program;

use std::process::ExitCode;

use crate::commands::arguments::ExecArguments;
use crate::host::descriptors::CallersDescriptors;

/// Runs the program and gives its exit code, or 128 + the signal that ended the program.
///
/// # Errors
/// [`BadInput`](super::failure::BadInput) for a program, a target, an image, a disk or
/// descriptors that can't be;
/// else what failed.
pub fn exec(arguments: &ExecArguments, inherited: CallersDescriptors) -> anyhow::Result<ExitCode> {
    match &arguments.image {
        Some(image) => image::exec(arguments, image, inherited),
        None => program::exec(arguments, inherited),
    }
}
