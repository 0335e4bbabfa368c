//! `isobench schema`: the shape of results files, for other programs.

use std::process::ExitCode;

use isobench_reports::model::json_schema;

use crate::streams::print;

/// Prints the JSON Schema of the results files that this isobench writes and reads.
///
/// # Errors
/// Standard output can't be written to.
pub fn schema() -> anyhow::Result<ExitCode> {
    let text = serde_json::to_string_pretty(&json_schema())?;
    print(text + "\n")?;
    Ok(ExitCode::SUCCESS)
}
