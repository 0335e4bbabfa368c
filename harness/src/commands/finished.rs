//! What `isobench` prints and returns when a run has finished.

use std::process::ExitCode;

use isobench_reports::render_screen;

use crate::commands::failure::INTERRUPTED;
use crate::commands::formats::FigureFormat;
use crate::commands::terminal::terminal_options;
use crate::streams::{self, tell};
use crate::suite::FinishedRun;

/// Prints what a run ends with, and gives the exit code: 130 if the user stopped the run, 1 if some
/// target failed every sample of an experiment. Standard error then has a line for each such target.
///
/// # Errors
/// The figures can't be written in that format, or standard output can't be written to.
pub fn conclude(
    finished: &FinishedRun,
    baseline: Option<&str>,
    format: Option<FigureFormat>,
) -> anyhow::Result<ExitCode> {
    print(finished, baseline, format)?;
    if finished.run.partial {
        return Ok(ExitCode::from(INTERRUPTED));
    }
    for failed in &finished.failed_targets {
        tell(format_args!("isobench: {failed}"));
    }
    let has_failed = !finished.failed_targets.is_empty();
    Ok(ExitCode::from(u8::from(has_failed)))
}

/// Prints the screen that a run ends with. With a `format` standard output has the figures alone, and
/// standard error the path of the report.
fn print(
    finished: &FinishedRun,
    baseline: Option<&str>,
    format: Option<FigureFormat>,
) -> anyhow::Result<()> {
    let (run, report) = (&finished.run, &finished.report);
    if let Some(format) = format {
        streams::print(format.render(std::slice::from_ref(run), baseline)?)?;
        tell(format_args!("report: {}", report.display()));
    } else {
        let options = terminal_options();
        streams::print(render_screen(run, baseline, options, report))?;
    }
    Ok(())
}
