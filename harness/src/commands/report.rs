//! `isobench report`

use std::process::ExitCode;

use anyhow::Context as _;
use isobench_reports::{read_results, render_html, write_new};

use crate::cli::ReportArguments;
use crate::output::say;

/// Draws one report from saved results, and prints where it is.
///
/// # Errors
/// A file isn't a results file of this schema, or the report can't be written; nothing is written then.
pub fn report(arguments: &ReportArguments) -> anyhow::Result<ExitCode> {
    let runs = arguments
        .results
        .iter()
        .map(|path| read_results(path))
        .collect::<Result<Vec<_>, _>>()?;
    let document = render_html(&runs).context("cannot draw the report")?;
    write_new(&arguments.out, document.as_bytes())?;
    say(format_args!("report: {}", arguments.out.display()));
    Ok(ExitCode::SUCCESS)
}
