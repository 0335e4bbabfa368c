//! The report: one document that needs nothing but a browser.
//!
//! It holds no script, loads nothing, and forbids the browser to load anything, so that a report from a
//! stranger is as harmless as a picture; only an exercise has a script, which the document names by its digest. All text from results passes through the template's escaping;
//! drawings are the only exception, and the plotting library escapes theirs.

mod cell;
mod density;
mod exercise;
mod figure;
pub(super) mod figures;
mod first;
mod hosts;
mod image;
mod latency;
mod prices;
mod table;
mod tradeoff;
mod view;

use askama::Template;
use thiserror::Error;

pub(super) use self::figure::FigureView;
use self::hosts::HostsView;
use self::view::RunView;
use crate::chart::ChartError;
use crate::figures::summary::Summary;
use crate::model::Run;
use crate::words::given::translate;
use crate::words::{Language, Words};

/// Why a report can't be drawn.
#[derive(Debug, Error)]
pub enum ReportError {
    /// A chart can't be drawn.
    #[error("cannot draw the chart of {experiment:?}")]
    Chart {
        /// The experiment that it is of.
        experiment: String,
        /// What the plotting library said.
        source: ChartError,
    },
    /// The document can't be put together.
    #[error("cannot fill in the report's template")]
    Template(#[from] askama::Error),
}

#[derive(Template)]
#[template(path = "report.html")]
struct Document<'w> {
    words: &'w Words,
    exercise: bool,
    digest: &'static str,
    script: &'static str,
    runs: Vec<RunView>,
    hosts: Vec<HostsView>,
}

/// How a report is to be drawn.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReportOptions<'o> {
    /// Name of the target that ratios are to; rung 0 of the ladder if there is none.
    pub baseline: Option<&'o str>,
    /// Its language.
    pub language: Language,
    /// Whether the reader is to guess before the figures are shown.
    pub exercise: bool,
}

/// Renders one document over runs, a section for each.
///
/// # Errors
///
/// When a chart can't be drawn.
pub fn render(runs: &[Run], options: ReportOptions<'_>) -> Result<String, ReportError> {
    let words = &Words::of(options.language);
    let baseline = options.baseline;
    let runs: Vec<_> = runs.iter().map(|run| translate(run, words)).collect();
    let summaries: Vec<_> = runs
        .iter()
        .map(|run| Summary::against(run, baseline))
        .collect();
    let hosts = hosts::compare(&summaries, words);
    let runs = summaries
        .iter()
        .enumerate()
        .map(|(index, summary)| RunView::of(index + 1, summary, options, words))
        .collect::<Result<_, _>>()?;
    let document = Document {
        words,
        exercise: options.exercise,
        digest: exercise::DIGEST,
        script: exercise::SCRIPT,
        runs,
        hosts,
    };
    Ok(document.render()?)
}

#[cfg(test)]
mod tests;
