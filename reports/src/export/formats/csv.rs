//! CSV: one row for each figure or change.

use serde::Serialize;

use super::row::rows;
use super::{Format, FormatError, change_row};

pub const FORMAT: Format = Format {
    name: "csv",
    about: "One row for each figure",
    figures: |summaries| write(&summaries.iter().flat_map(rows).collect::<Vec<_>>()),
    changes: Some(|comparison| write(&change_row::rows(comparison))),
};

/// Rows, under a header with the names of their fields.
fn write<R: Serialize>(rows: &[R]) -> Result<String, FormatError> {
    let mut table = csv::Writer::from_writer(Vec::new());
    for row in rows {
        table.serialize(row)?;
    }
    let bytes = table
        .into_inner()
        .map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
