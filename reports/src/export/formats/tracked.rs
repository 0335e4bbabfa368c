//! What a tracker of benchmarks follows from commit to commit: the figures of one run, under names
//! that stay the same.
//!
//! A tracker takes whatever it is given for a measurement. So it doesn't get figures to which a
//! delay was added on purpose.

use super::FormatError;
use super::change_row::{self, ChangeRow};
use super::label::label;
use super::row::{FigureRow, OK, rows};
use crate::compare::Comparison;
use crate::figures::summary::Summary;
use crate::statistics::Interval;

/// The name of a figure, such as `container/startup/ready`.
pub fn name(target: &str, experiment: &str, metric: &str) -> String {
    [target, experiment, metric].map(label).join("/")
}

/// A value with its interval, if the value has one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Value {
    pub value: f64,
    pub interval: Option<Interval>,
}

impl Value {
    fn new(value: Option<f64>, low: Option<f64>, high: Option<f64>) -> Option<Self> {
        let interval = low.zip(high).map(|(low, high)| Interval { low, high });
        let value = value?;
        Some(Self { value, interval })
    }
}

/// The figures of the only run, each with its row.
///
/// # Errors
/// There are several runs: `format` has no place for what tells them apart.
pub fn figures<'a>(
    summaries: &[Summary<'a>],
    format: &'static str,
) -> Result<Vec<(FigureRow<'a>, Value)>, FormatError> {
    let [summary] = summaries else {
        return Err(FormatError::OneRun {
            format,
            runs: summaries.len(),
        });
    };
    let measured = rows(summary).into_iter().filter(|row| row.status == OK);
    let with_value = measured.filter_map(|row| {
        let value = Value::new(row.median, row.low, row.high)?;
        Some((row, value))
    });
    Ok(with_value.collect())
}

/// The ratios of the new run to its base, each with its row.
pub fn changes<'a>(comparison: &Comparison<'a>) -> Vec<(ChangeRow<'a>, Value)> {
    let rows = change_row::rows(comparison).into_iter();
    let with_value = rows.filter_map(|row| {
        let value = Value::new(row.ratio, row.ratio_low, row.ratio_high)?;
        Some((row, value))
    });
    with_value.collect()
}
