//! Figures and changes for other programs.
//!
//! A format is one file with a [`Format`], and one line in [`FORMATS`]. The formats for tables have
//! the same rows: one for each figure, and one with a reason for each figure that a target couldn't
//! give. Trackers of benchmarks have no place for a reason, and get figures alone. Values are in the
//! unit of the samples, which stands beside them.

mod bencher;
mod change_row;
mod csv;
mod explained;
mod github_benchmark;
mod json;
mod label;
mod markdown;
mod openmetrics;
mod row;
mod run_id;
mod tracked;

use std::io;

use thiserror::Error;

use crate::compare::Comparison;
use crate::figures::summary::Summary;
use crate::model::Run;

/// Every format, in the order in which help lists them.
pub const FORMATS: [Format; 7] = [
    json::FORMAT,
    csv::FORMAT,
    markdown::FORMAT,
    openmetrics::FORMAT,
    bencher::FORMAT,
    github_benchmark::SMALLER,
    github_benchmark::BIGGER,
];

/// Writes a comparison.
type WriteChanges = fn(&Comparison<'_>) -> Result<String, FormatError>;

/// A format for other programs.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// The format's name on a command line; it never changes.
    pub name: &'static str,
    /// What the format is for, in a line of help.
    pub about: &'static str,
    /// Writes the figures of runs.
    figures: fn(&[Summary<'_>]) -> Result<String, FormatError>,
    /// Writes a comparison; nothing if the format has no place for one.
    changes: Option<WriteChanges>,
}

/// Why figures can't be written in a format.
#[derive(Debug, Error)]
pub enum FormatError {
    /// The JSON writer failed.
    #[error("cannot write the figures or their run as JSON")]
    Json(#[from] serde_json::Error),
    /// The CSV writer failed.
    #[error("cannot write the figures as CSV")]
    Csv(#[from] ::csv::Error),
    /// The writer behind the CSV writer failed.
    #[error("cannot write the figures")]
    Write(#[from] io::Error),
    /// The `OpenMetrics` writer failed.
    #[error("cannot write the figures as OpenMetrics")]
    OpenMetrics(#[from] std::fmt::Error),
    /// A comparison was asked for in a format that has none.
    #[error("a comparison has no format `{0}`: choose json, csv or markdown")]
    NoComparison(&'static str),
    /// Several runs were asked for in a format that has one run a document.
    #[error(
        "the format `{format}` holds one run, and these are {runs}: write a document for each results file"
    )]
    OneRun {
        /// The format's name.
        format: &'static str,
        /// The number of runs.
        runs: usize,
    },
}

impl Format {
    /// Every figure of `runs`; ratios are to rung 0 of the ladder, or to the target named `baseline`.
    ///
    /// # Errors
    /// The format has one run a document, and there are several; or the format's own writer fails.
    pub fn figures(&self, runs: &[Run], baseline: Option<&str>) -> Result<String, FormatError> {
        let summaries = runs.iter().map(|run| Summary::against(run, baseline));
        (self.figures)(&summaries.collect::<Vec<_>>())
    }

    /// A comparison of two runs.
    ///
    /// # Errors
    /// The format has no comparisons, or its own writer fails.
    pub fn changes(&self, comparison: &Comparison<'_>) -> Result<String, FormatError> {
        match self.changes {
            Some(changes) => changes(comparison),
            None => Err(FormatError::NoComparison(self.name)),
        }
    }

    /// Whether the format has comparisons.
    pub const fn has_changes(&self) -> bool {
        self.changes.is_some()
    }
}

#[cfg(test)]
mod tests;
