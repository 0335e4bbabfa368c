//! What `isobench` prints and returns when a run has finished.

use isobench_reports::render_screen;

use crate::commands::arguments::FigureFormat;
use crate::commands::output;
use crate::suite::FinishedRun;

/// Exit code of a run that the user stopped: 128 + SIGINT, as shells have it.
pub const INTERRUPTED: u8 = 130;

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
