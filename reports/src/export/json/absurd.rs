//! Values that no host can have had: a sample with one is a failed sample, with the reason, and no figure counts it.
//!
//! Such a file is not refused, for its other samples may be good; but one year-long start would squeeze everything else on
//! an axis into a line.

use crate::model::{Run, Status, Unit};
use crate::words::units;

/// The most that a value of each unit can be: a hundred days, a pebibyte, a pebibyte and a trillion operations a second.
fn limit(unit: Unit) -> f64 {
    const PEBIBYTE: f64 = 1_125_899_906_842_624.0;
    match unit {
        Unit::Nanoseconds => 100.0 * 86_400e9,
        Unit::Bytes | Unit::BytesPerSecond => PEBIBYTE,
        Unit::OperationsPerSecond | Unit::Count => 1e12,
    }
}

/// Sets aside what can't be.
pub fn set_aside(run: &mut Run) {
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
