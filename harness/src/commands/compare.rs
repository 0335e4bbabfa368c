//! `isobench compare`: what changed from one run to another, and whether budgets are kept.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use isobench_reports::budgets::{self, Verdict};
use isobench_reports::compare::{Comparison, obstacles};
use isobench_reports::model::Run;
use isobench_reports::{read_results, render_budgets, render_comparison};

use crate::commands::arguments::CompareArguments;
use crate::commands::budget_file;
use crate::commands::failure::BadInput;
use crate::commands::terminal::terminal_options;
use crate::streams::print;

/// Exit code for a figure that got worse or was lost, and for a budget that is broken.
const REGRESSION: u8 = 1;

/// Exit code if no budget is broken and one is undecided.
const UNDECIDED: u8 = 3;

/// Prints what changed from one run to another; the exit code is 1 if something got worse. With a
/// budget file, prints how the budgets came out: the exit code is 1 if one is broken, else 3 if one is
/// undecided.
///
/// # Errors
/// [`BadInput`] if the two runs can't be compared: a file that isobench didn't write or of another
/// schema; without `--anyway` another host, kernel, KVM or profile. A budget file that is wrong, or a
/// budget that can't be judged on these runs.
pub fn compare(arguments: &CompareArguments) -> anyhow::Result<ExitCode> {
    if let Some(file) = &arguments.budget {
        return judge(arguments, file);
    }
    let [base, new] = &arguments.results[..] else {
        return Err(BadInput(
            "one run alone can't be compared: pass the results of BASE and of NEW, or --budget FILE"
                .to_owned(),
        )
        .into());
    };
    let runs = read_both(base, new, arguments.anyway)?;
    let comparison = Comparison::of(&runs[0], &runs[1], arguments.threshold);
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

/// Judges the budgets of `file` on the later run.
fn judge(arguments: &CompareArguments, file: &Path) -> anyhow::Result<ExitCode> {
    let budgets = budget_file::read(file)?;
    let runs = match &arguments.results[..] {
        [base, new] => Vec::from(read_both(base, new, arguments.anyway)?),
        others => read_all(others)?,
    };
    let [earlier @ .., new] = &runs[..] else {
        return Err(BadInput("pass the results of a run".to_owned()).into());
    };
    let judgements = budgets::judge(&budgets, new, earlier.first())?;
    print(render_budgets(&judgements, terminal_options()))?;
    let has = |verdict| judgements.iter().any(|one| one.verdict == verdict);
    Ok(if has(Verdict::Broken) {
        ExitCode::from(REGRESSION)
    } else if has(Verdict::Undecided) {
        ExitCode::from(UNDECIDED)
    } else {
        ExitCode::SUCCESS
    })
}

fn read_all(paths: &[PathBuf]) -> anyhow::Result<Vec<Run>> {
    let runs = paths.iter().map(|path| read_results(path));
    Ok(runs.collect::<Result<_, _>>()?)
}

/// Two runs that were made in the same conditions, or in any if that is asked for.
fn read_both(base: &Path, new: &Path, anyway: bool) -> anyhow::Result<[Run; 2]> {
    let runs = [read_results(base)?, read_results(new)?];
    let obstacles = obstacles(&runs[0], &runs[1]);
    if !obstacles.is_empty() && !anyway {
        let obstacles: Vec<_> = obstacles.iter().map(ToString::to_string).collect();
        return Err(BadInput(format!(
            "{} and {} were not made in the same conditions ({}); compare them all the same with --anyway",
            base.display(),
            new.display(),
            obstacles.join("; ")
        ))
        .into());
    }
    Ok(runs)
}
