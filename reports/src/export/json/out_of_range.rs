//! Values that no host can have: such a sample becomes a failed sample with a reason, and no figure
//! counts it.
//!
//! The file is not refused, since its other samples may be good. But a start of a year would
//! squeeze everything else on an axis into a line.

use crate::model::{Run, Status, Unit};
use crate::words::units;

/// The largest value of each unit: a hundred days, a pebibyte, a pebibyte a second, and a trillion.
fn limit(unit: Unit) -> f64 {
    const PEBIBYTE: f64 = 1_125_899_906_842_624.0;
    match unit {
        Unit::Nanoseconds => 100.0 * 86_400e9,
        Unit::Bytes | Unit::BytesPerSecond => PEBIBYTE,
        Unit::OperationsPerSecond | Unit::Count => 1e12,
    }
}

/// Turns samples with impossible values into failed samples.
pub fn mark_as_failed(run: &mut Run) {
    for sample in &mut run.samples {
        let limit = limit(sample.unit);
        let absurd = sample.value.filter(|value| value.abs() > limit);
        if let Some(value) = absurd.filter(|_| sample.status == Status::Ok) {
            sample.value = None;
            sample.status = Status::Failed;
            let limit = units::value(sample.unit, limit);
            let unit = sample.unit.symbol();
            sample.reason = Some(format!(
                "the file says {value:e} {unit}, and more than {limit} can't be"
            ));
        }
    }
}
