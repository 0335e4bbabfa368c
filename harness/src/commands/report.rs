//! `isobench report`: draws saved results again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use isobench_reports::model::Run;
use isobench_reports::{
    Language, ReportOptions, ResultsError, plots, read_foreign, render_html, write_new,
};

use crate::commands::arguments::ReportArguments;
use crate::commands::failure::BadInput;
use crate::streams::{print, say, tell};

/// Draws one report from saved results and prints the path of the report; or prints the figures in a
/// format. Results that can't be read are left out and named on standard error. The exit code is
/// then 1, unless they are no more than directories without results.
///
/// # Errors
/// No results can be read, or the report can't be written. Nothing is written then.
pub fn report(arguments: &ReportArguments) -> anyhow::Result<ExitCode> {
    let (runs, code) = read_all(&arguments.results)?;
    let baseline = arguments.baseline.as_deref();
    check_baseline(&runs, baseline)?;
    if let Some(format) = arguments.format {
        print(format.render(&runs, baseline)?)?;
    } else if let Some(directory) = &arguments.plots {
        write_plots(&runs, directory, arguments.language.into())?;
    } else {
        let options = ReportOptions {
            baseline,
            language: arguments.language.into(),
            exercise: arguments.exercise,
        };
        let document = render_html(&runs, options).context("cannot draw the report")?;
        write_new(&arguments.out, document.as_bytes())?;
        say(format_args!("report: {}", arguments.out.display()))?;
    }
    Ok(code)
}

/// The results that can be read, and the exit code that tells of the others.
fn read_all(paths: &[PathBuf]) -> Result<(Vec<Run>, ExitCode), ResultsError> {
    let (mut runs, mut refused) = (Vec::new(), Vec::new());
    for path in paths {
        match read_foreign(path) {
            Ok(run) => runs.push(run),
            Err(error) => refused.push(error),
        }
    }
    if runs.is_empty()
        && let Some(last) = refused.pop()
    {
        refused.iter().for_each(tell_of);
        return Err(last);
    }
    refused.iter().for_each(tell_of);
    let is_fault = |error: &ResultsError| !matches!(error, ResultsError::NoResults { .. });
    let code = u8::from(refused.iter().any(is_fault));
    Ok((runs, ExitCode::from(code)))
}

fn tell_of(error: &ResultsError) {
    let cause = std::error::Error::source(error);
    let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
    tell(format_args!("isobench: left out: {error}{cause}"));
}

/// Writes every plot as SVG and as PNG. All plots are drawn before the first is written.
fn write_plots(runs: &[Run], directory: &Path, language: Language) -> anyhow::Result<()> {
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
    Ok(())
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
