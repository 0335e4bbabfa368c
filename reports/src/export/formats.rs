//! Figures for other programs: JSON, CSV, Markdown, OpenMetrics.
//!
//! Rows are the same in each, one a figure, and one for each metric that a target couldn't give, with its reason.
//! Values stay in the unit of the samples, which stands beside them.

mod changes;
mod figures;
mod openmetrics;
mod row;

use std::io;

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use serde::Serialize;
use thiserror::Error;

use crate::words::text::one_line;

pub use changes::render as render_changes;
pub use figures::render as render_figures;

/// Longest text of a cell in Markdown.
const CELL: usize = 300;

/// A format for other programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One document.
    Json,
    /// A table with a header line.
    Csv,
    /// A table for a page of documentation.
    Markdown,
    /// The text format of `OpenMetrics`, for Prometheus and its like.
    OpenMetrics,
}

/// Why figures can't be written in a format.
#[derive(Debug, Error)]
pub enum FormatError {
    /// JSON.
    #[error("cannot write the figures as JSON")]
    Json(#[from] serde_json::Error),
    /// CSV.
    #[error("cannot write the figures as CSV")]
    Csv(#[from] csv::Error),
    /// The writer's own.
    #[error("cannot write the figures")]
    Write(#[from] io::Error),
    /// `OpenMetrics`.
    #[error("cannot write the figures as OpenMetrics")]
    OpenMetrics(#[from] std::fmt::Error),
    /// There is no such format of a comparison.
    #[error("a comparison has no OpenMetrics format: choose json, csv or markdown")]
    NoMetrics,
}

fn json(document: &impl Serialize) -> Result<String, FormatError> {
    Ok(serde_json::to_string_pretty(document)? + "\n")
}

/// Rows with a header of their fields' names.
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

fn markdown<const N: usize>(header: [&str; N], rows: Vec<[String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(header);
    for row in rows {
        // A bar or a line end would open another cell or row.
        table.add_row(row.map(|text| one_line(&text, CELL).replace('|', "\\|")));
    }
    table.trim_fmt() + "\n"
}
