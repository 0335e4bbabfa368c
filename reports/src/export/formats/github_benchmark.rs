//! The custom formats of github-action-benchmark: an array of benchmarks, each with a name, a unit
//! and a value (<https://github.com/benchmark-action/github-action-benchmark>, whose `src/extract.ts`
//! has the parser).
//!
//! The action's input `tool` says for a whole file which way is better. So the figures of which less
//! is better and those of which more is better are two formats.

use serde::Serialize;

use super::tracked::{self, Value};
use super::{Format, FormatError, json};
use crate::compare::Comparison;
use crate::figures::summary::Summary;
use crate::model::{Better, Unit};

const SMALLER_NAME: &str = "github-benchmark";
const BIGGER_NAME: &str = "github-benchmark-bigger";

pub const SMALLER: Format = Format {
    name: SMALLER_NAME,
    about: "For github-action-benchmark's tool customSmallerIsBetter: times, sizes and counts",
    figures: |summaries| figures(summaries, SMALLER_NAME, Better::Lower),
    changes: Some(|comparison| changes(comparison, Better::Lower)),
};

pub const BIGGER: Format = Format {
    name: BIGGER_NAME,
    about: "For github-action-benchmark's tool customBiggerIsBetter: throughput and rates",
    figures: |summaries| figures(summaries, BIGGER_NAME, Better::Higher),
    changes: Some(|comparison| changes(comparison, Better::Higher)),
};

#[derive(Debug, Serialize)]
struct Benchmark {
    name: String,
    unit: &'static str,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    extra: String,
}

fn figures(
    summaries: &[Summary<'_>],
    format: &'static str,
    better: Better,
) -> Result<String, FormatError> {
    let rows = tracked::figures(summaries, format)?.into_iter();
    let benchmarks = rows.filter(|(row, _)| row.better == better);
    let benchmarks = benchmarks.map(|(row, value)| Benchmark {
        name: tracked::name(row.target, row.experiment, row.metric),
        unit: unit(row.metric_unit),
        value: value.value,
        range: range(value),
        extra: format!("n: {}\nhost: {}", row.samples, row.host),
    });
    json::write(&benchmarks.collect::<Vec<_>>())
}

fn changes(comparison: &Comparison<'_>, better: Better) -> Result<String, FormatError> {
    let rows = tracked::changes(comparison).into_iter();
    let benchmarks = rows.filter(|(row, _)| row.better == better);
    let benchmarks = benchmarks.map(|(row, value)| Benchmark {
        name: tracked::name(row.target, row.experiment, row.metric),
        unit: "× base",
        value: value.value,
        range: range(value),
        extra: format!(
            "verdict: {}\nhost: {}",
            row.verdict, comparison.new.host.summary
        ),
    });
    json::write(&benchmarks.collect::<Vec<_>>())
}

/// The interval. The action shows it as it is: only `± NUMBER` would be converted to another unit,
/// and units stay the same here.
fn range(value: Value) -> Option<String> {
    let interval = value.interval?;
    Some(format!("{} to {}", interval.low, interval.high))
}

/// A unit that is the same for every size of a value, so that values of different commits can be
/// compared.
const fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::OperationsPerSecond => "ops/s",
        Unit::Count => "number",
        other => other.symbol(),
    }
}
