//! Figures for other programs: JSON, CSV, Markdown, OpenMetrics.
//!
//! All formats have the same rows: one for each figure, and one with a reason for each figure that
//! a target couldn't give. Values are in the unit of the samples, which stands beside them.

mod changes;
mod explained;
mod figures;
mod openmetrics;
mod row;
mod run_id;

use std::io;

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use serde::Serialize;
use thiserror::Error;

use crate::words::text::one_line;

pub use changes::render as render_changes;
pub use figures::render as render_figures;

/// Longest text of a cell in Markdown, in characters.
const CELL: usize = 300;

/// A format for other programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON document.
    Json,
    /// Rows with a header line.
    Csv,
    /// A table for a page of documentation.
    Markdown,
    /// The text format of `OpenMetrics`, which Prometheus and others read.
    OpenMetrics,
}

/// Why figures can't be written in a format.
#[derive(Debug, Error)]
pub enum FormatError {
    /// The JSON writer failed.
    #[error("cannot write the figures or their run as JSON")]
    Json(#[from] serde_json::Error),
    /// The CSV writer failed.
    #[error("cannot write the figures as CSV")]
    Csv(#[from] csv::Error),
    /// The writer behind the CSV writer failed.
    #[error("cannot write the figures")]
    Write(#[from] io::Error),
    /// The `OpenMetrics` writer failed.
    #[error("cannot write the figures as OpenMetrics")]
    OpenMetrics(#[from] std::fmt::Error),
    /// A comparison was asked for as `OpenMetrics`.
    #[error("a comparison has no OpenMetrics format: choose json, csv or markdown")]
    NoMetrics,
}

fn json(document: &impl Serialize) -> Result<String, FormatError> {
    Ok(serde_json::to_string_pretty(document)? + "\n")
}

/// Rows, under a header with the names of their fields.
fn csv<R: Serialize>(rows: &[R]) -> Result<String, FormatError> {
    let mut table = csv::Writer::from_writer(Vec::new());
    for row in rows {
        table.serialize(row)?;
    }
    let bytes = table
        .into_inner()
        .map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn markdown<'h>(
    header: impl IntoIterator<Item = &'h str>,
    rows: impl IntoIterator<Item: IntoIterator<Item = String>>,
) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(header);
    for row in rows {
        // A vertical bar or a line end would begin another cell or row.
        let row = row.into_iter();
        table.add_row(row.map(|text| one_line(&text, CELL).replace('|', "\\|")));
    }
    table.trim_fmt() + "\n"
}
