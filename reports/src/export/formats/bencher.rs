//! Bencher's Metric Format: a benchmark for each target and metric, with the median as its value and
//! the interval as its bounds (<https://bencher.dev/docs/reference/bencher-metric-format/>, whose
//! schema is `reports/tests/consumers/bencher.json`).
//!
//! Bencher keeps one unit and one direction a measure. So a measure is named for the unit, as
//! Bencher's own `latency` and `throughput` are, and for the direction where it isn't the usual one.

use std::collections::BTreeMap;

use serde::Serialize;

use super::tracked::{self, Value};
use super::{Format, FormatError, json};
use crate::compare::Comparison;
use crate::figures::summary::Summary;
use crate::model::{Better, Unit};

const NAME: &str = "bencher";

pub const FORMAT: Format = Format {
    name: NAME,
    about: "For Bencher's adapter `json`",
    figures,
    changes: Some(changes),
};

/// The measures of each benchmark.
type Benchmarks = BTreeMap<String, BTreeMap<String, Measure>>;

#[derive(Debug, Serialize)]
struct Measure {
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lower_value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upper_value: Option<f64>,
}

impl From<Value> for Measure {
    fn from(value: Value) -> Self {
        Self {
            value: value.value,
            lower_value: value.interval.map(|interval| interval.low),
            upper_value: value.interval.map(|interval| interval.high),
        }
    }
}

fn figures(summaries: &[Summary<'_>]) -> Result<String, FormatError> {
    let mut benchmarks = Benchmarks::new();
    for (row, value) in tracked::figures(summaries, NAME)? {
        let name = tracked::name(row.target, row.experiment, row.metric);
        let measure = measure(row.metric_unit, row.better);
        let measures = benchmarks.entry(name).or_default();
        measures.insert(measure, value.into());
    }
    json::write(&benchmarks)
}

/// The measure of a change is the new median over the base's.
fn changes(comparison: &Comparison<'_>) -> Result<String, FormatError> {
    let mut benchmarks = Benchmarks::new();
    for (row, value) in tracked::changes(comparison) {
        let name = tracked::name(row.target, row.experiment, row.metric);
        let measure = measure(row.metric_unit, row.better) + "-ratio-to-base";
        let measures = benchmarks.entry(name).or_default();
        measures.insert(measure, value.into());
    }
    json::write(&benchmarks)
}

fn measure(unit: Unit, better: Better) -> String {
    let (name, usual) = match unit {
        Unit::Nanoseconds => ("latency", Better::Lower),
        Unit::Bytes => ("bytes", Better::Lower),
        Unit::BytesPerSecond => ("bytes-per-second", Better::Higher),
        Unit::OperationsPerSecond => ("throughput", Better::Higher),
        Unit::Count => ("count", Better::Lower),
    };
    let unusual = match better {
        Better::Lower => "-lower-is-better",
        Better::Higher => "-higher-is-better",
    };
    let behind = if better == usual { "" } else { unusual };
    format!("{name}{behind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_has_one_unit_and_one_direction() {
        let names = [
            (Unit::Nanoseconds, Better::Lower),
            (Unit::OperationsPerSecond, Better::Higher),
            (Unit::Count, Better::Lower),
            (Unit::Count, Better::Higher),
            (Unit::Bytes, Better::Lower),
        ]
        .map(|(unit, better)| measure(unit, better));
        let expected = [
            "latency",
            "throughput",
            "count",
            "count-higher-is-better",
            "bytes",
        ];
        assert_eq!(names, expected);
    }
}
