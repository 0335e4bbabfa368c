//! The report: one document that needs nothing but a browser.
//!
//! The document has no script, loads nothing, and forbids the browser to load anything. So a report
//! from a stranger is as harmless as a picture. Only an exercise has a script, which the document
//! names by its digest. All text from results is escaped by the template; the drawings are the only
//! exception, and the plotting library escapes their text.

mod cell;
mod density;
mod exercise;
mod explanation;
mod figure;
pub(super) mod figures;
mod first;
mod hosts;
mod image;
mod latency;
mod plain;
mod prices;
mod table;
mod tails;
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
        /// The name of the experiment.
        experiment: String,
        /// The plotting library's error.
        source: ChartError,
    },
    /// The template can't be filled in.
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

/// How a report is drawn.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReportOptions<'o> {
    /// The name of the target that ratios are to; rung 0 of the ladder if there is none.
    pub baseline: Option<&'o str>,
    /// The language of the report.
    pub language: Language,
    /// Whether the reader is asked to guess before the figures are shown.
    pub exercise: bool,
}

/// Renders one document with a section for each run.
///
/// # Errors
///
/// If a chart can't be drawn.
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
