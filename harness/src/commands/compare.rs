//! `isobench compare`: what changed from one run to another.

use std::process::ExitCode;

use isobench_reports::compare::Comparison;
use isobench_reports::{read_results, render_comparison};

use crate::commands::arguments::CompareArguments;
use crate::commands::failure::BadInput;
use crate::commands::terminal::terminal_options;
use crate::streams::print;

/// Exit code for a figure that got worse or was lost.
const REGRESSION: u8 = 1;

/// Prints what changed from one run to another; the exit code is 1 if something got worse.
///
/// # Errors
/// [`BadInput`] if the two runs can't be compared: a file that isobench didn't write or of another
/// schema; without `--anyway` another host, kernel, KVM or profile.
pub fn compare(arguments: &CompareArguments) -> anyhow::Result<ExitCode> {
    let (base, new) = (
        read_results(&arguments.base)?,
        read_results(&arguments.new)?,
    );
    let comparison = Comparison::of(&base, &new, arguments.threshold);
    if !comparison.obstacles.is_empty() && !arguments.anyway {
        let obstacles: Vec<_> = comparison
            .obstacles
            .iter()
            .map(ToString::to_string)
            .collect();
        return Err(BadInput(format!(
            "{} and {} were not made in the same conditions ({}); compare them all the same with --anyway",
            arguments.base.display(),
            arguments.new.display(),
            obstacles.join("; ")
        ))
        .into());
    }
    print(match arguments.format {
        Some(format) => format.render(&comparison)?,
        None => render_comparison(&comparison, terminal_options()),
    })?;
    Ok(if comparison.has_regression() {
        ExitCode::from(REGRESSION)
    } else {
        ExitCode::SUCCESS
    })
}
