//! The report: one document that needs nothing but a browser.

use thiserror::Error;

use crate::model::Run;

/// Why a report can't be drawn.
#[derive(Debug, Error)]
pub enum ReportError {
    /// A chart can't be drawn.
    #[error("cannot draw the chart of {0}")]
    Chart(String),
}

/// Renders one document over runs.
///
/// # Errors
///
/// When a chart can't be drawn.
pub fn render(_runs: &[Run]) -> Result<String, ReportError> {
    Ok(String::new())
}
