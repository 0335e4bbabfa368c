//! `isobench report`

use std::process::ExitCode;

use anyhow::Context as _;
use isobench_reports::export::{files, html, json};

use crate::cli::ReportArguments;

/// Draws one report from saved results, and prints where it is.
///
/// # Errors
/// A file isn't a results file of this schema, or the report can't be written; nothing is written then.
pub fn report(arguments: &ReportArguments) -> anyhow::Result<ExitCode> {
    let runs = arguments
        .results
        .iter()
        .map(|path| json::read(path))
        .collect::<Result<Vec<_>, _>>()?;
    let document = html::render(&runs).context("cannot draw the report")?;
    files::write_new(&arguments.out, document.as_bytes())?;
    println!("report: {}", arguments.out.display());
    Ok(ExitCode::SUCCESS)
}
