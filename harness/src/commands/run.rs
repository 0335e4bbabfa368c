//! `isobench run`: measures, and prints what came out.

use std::process::ExitCode;

use anyhow::Context as _;

use crate::commands::arguments::RunArguments;
use crate::commands::finished::conclude;
use crate::commands::time::{self, TimeOptions};
use crate::host::interrupt::Interrupt;
use crate::host::programs::Programs;
use crate::suite;

/// Runs the suite, and prints the screen that sums it up.
///
/// # Errors
/// The errors of [`suite::run`].
pub fn run(arguments: &RunArguments) -> anyhow::Result<ExitCode> {
    if let Some(path) = &arguments.workload {
        let options = TimeOptions {
            choice: &arguments.options.choice,
            conduct: &arguments.options.conduct,
            explanation: time::explanation(arguments.explain),
            format: arguments.format,
        };
        return time::workload(path, &options);
    }
    let interrupt = Interrupt::install().context("cannot catch signals")?;
    let programs = Programs::find()?;
    let finished = suite::run(&arguments.options, &programs, &interrupt)?;
    let baseline = arguments.options.conduct.baseline.as_deref();
    conclude(&finished, baseline, arguments.format)
}
