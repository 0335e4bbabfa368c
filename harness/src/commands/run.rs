//! `isobench run`: measures, and prints what came out.

use std::process::ExitCode;

use anyhow::Context as _;
use isobench_reports::render_screen;

use crate::commands::arguments::{FigureFormat, RunArguments};
use crate::commands::output;
use crate::commands::time::{self, TimeOptions};
use crate::host::interrupt::Interrupt;
use crate::host::programs::Programs;
use crate::suite::{self, FinishedRun};

/// Exit code of a run that the user stopped: 128 + SIGINT, as shells have it.
pub const INTERRUPTED: u8 = 130;

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
    print(&finished, baseline, arguments.format)?;
    Ok(if finished.run.partial {
        ExitCode::from(INTERRUPTED)
    } else {
        ExitCode::SUCCESS
    })
}

/// Prints the screen that a run ends with. With a `format` standard output has the figures alone, and
/// standard error the path of the report.
///
/// # Errors
/// The figures can't be written in that format.
pub fn print(
    finished: &FinishedRun,
    baseline: Option<&str>,
    format: Option<FigureFormat>,
) -> anyhow::Result<()> {
    let (run, report) = (&finished.run, &finished.report);
    if let Some(format) = format {
        output::print(format.render(std::slice::from_ref(run), baseline)?);
        eprintln!("report: {}", report.display());
    } else {
        let options = output::terminal_options();
        output::print(render_screen(run, baseline, options, report));
    }
    Ok(())
}
