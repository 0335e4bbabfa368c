//! `isobench report`: draws saved results again.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use isobench_reports::model::Run;
use isobench_reports::{Language, ReportOptions, plots, read_results, render_html, write_new};

use crate::commands::arguments::ReportArguments;
use crate::commands::failure::BadInput;
use crate::streams::{print, say};

/// Draws one report from saved results and prints the path of the report; or prints the figures in a
/// format.
///
/// # Errors
/// A file isn't a results file of this schema, or the report can't be written. Nothing is written
/// then.
pub fn report(arguments: &ReportArguments) -> anyhow::Result<ExitCode> {
    let runs = arguments
        .results
        .iter()
        .map(|path| read_results(path))
        .collect::<Result<Vec<_>, _>>()?;
    let baseline = arguments.baseline.as_deref();
    check_baseline(&runs, baseline)?;
    if let Some(format) = arguments.format {
        print(format.render(&runs, baseline)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(directory) = &arguments.plots {
        return write_plots(&runs, directory, arguments.language.into());
    }
    let options = ReportOptions {
        baseline,
        language: arguments.language.into(),
        exercise: arguments.exercise,
    };
    let document = render_html(&runs, options).context("cannot draw the report")?;
    write_new(&arguments.out, document.as_bytes())?;
    say(format_args!("report: {}", arguments.out.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes every plot as SVG and as PNG. All plots are drawn before the first is written.
fn write_plots(runs: &[Run], directory: &Path, language: Language) -> anyhow::Result<ExitCode> {
    let mut files = Vec::new();
    for plot in plots(runs, language)? {
        files.push((format!("{}.png", plot.name), plot.png()?));
        files.push((format!("{}.svg", plot.name), plot.svg.into_bytes()));
    }
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make the directory {}", directory.display()))?;
    for (name, bytes) in &files {
        write_new(&directory.join(name), bytes)?;
    }
    say(format_args!(
        "plots: {} files in {}",
        files.len(),
        directory.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn check_baseline(runs: &[Run], wanted: Option<&str>) -> Result<(), BadInput> {
    let mut targets = runs.iter().flat_map(|run| &run.targets);
    match wanted {
        Some(name) if targets.all(|target| target.name != name) => Err(BadInput(format!(
            "no target `{name}` in these results, so nothing can be held against it"
        ))),
        _ => Ok(()),
    }
}
