//! `isobench run`: measures, and prints what came out.

use std::process::ExitCode;

use std::io::IsTerminal as _;

use anyhow::Context as _;
use isobench_reports::{Format, render_figures, render_table};

use crate::commands::arguments::RunArguments;
use crate::commands::output;
use crate::host::interrupt::Interrupt;
use crate::host::programs::Programs;
use crate::suite::{self, Finished};

/// Exit code of a run that the user stopped: 128 + SIGINT, as shells have it.
const INTERRUPTED: u8 = 130;

/// Runs the suite, and prints the table and the path of the report.
///
/// # Errors
/// The errors of [`suite::run`].
pub fn run(arguments: &RunArguments) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::install().context("cannot catch signals")?;
    let programs = Programs::find()?;
    let finished = suite::run(&arguments.options, &programs, &interrupt)?;
    let baseline = arguments.options.baseline.as_deref();
    print(&finished, baseline, arguments.format.map(Into::into))?;
    Ok(if finished.run.partial {
        ExitCode::from(INTERRUPTED)
    } else {
        ExitCode::SUCCESS
    })
}

/// Prints the table of targets and metrics, and the path of the report. With a `format` standard
/// output has the figures alone, and standard error the path.
///
/// # Errors
/// The figures can't be written in that format.
pub fn print(
    finished: &Finished,
    baseline: Option<&str>,
    format: Option<Format>,
) -> anyhow::Result<()> {
    let report = format_args!("report: {}", finished.report.display());
    if let Some(format) = format {
        let runs = std::slice::from_ref(&finished.run);
        output::print(render_figures(runs, baseline, format)?);
        eprintln!("{report}");
    } else {
        let options = output::table_options(std::io::stdout().is_terminal());
        output::say(render_table(&finished.run, baseline, options));
        output::say(report);
    }
    Ok(())
}
