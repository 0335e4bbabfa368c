//! `OpenMetrics`: gauges in base units, one family a unit, with labels for target, experiment and
//! metric. Labels for host, start, run and seed tell several runs apart: no set of labels stands
//! twice in a family.

use std::collections::HashSet;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit as MetricUnit};

use super::label::label;
use super::row::{FigureRow, rows};
use super::{Format, FormatError, run_id};
use crate::figures::summary::Summary;
use crate::model::Unit;

pub const FORMAT: Format = Format {
    name: "openmetrics",
    about: "For Prometheus and its like",
    figures: render,
    changes: None,
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    target: String,
    experiment: String,
    metric: String,
    status: &'static str,
    host: String,
    started: String,
    run: String,
    seed: u64,
}

/// A figure, and what tells its run from others.
struct Source<'a> {
    row: FigureRow<'a>,
    run: String,
    seed: u64,
}

/// A family of gauges: its name, whether it has a unit, and the value that it takes of a row.
struct Kind {
    name: &'static str,
    help: &'static str,
    value: fn(&FigureRow<'_>) -> Option<f64>,
    has_unit: bool,
}

const KINDS: [Kind; 15] = [
    Kind {
        name: "isobench_median",
        help: "Median of the good samples",
        value: |row| row.median,
        has_unit: true,
    },
    Kind {
        name: "isobench_median_low",
        help: "Lower end of the 95 % interval of the median",
        value: |row| row.low,
        has_unit: true,
    },
    Kind {
        name: "isobench_median_high",
        help: "Upper end of the 95 % interval of the median",
        value: |row| row.high,
        has_unit: true,
    },
    Kind {
        name: "isobench_ratio",
        help: "Median over that of the baseline",
        value: |row| row.ratio,
        has_unit: false,
    },
    Kind {
        name: "isobench_samples",
        help: "Good samples",
        value: |row| Some(row.samples as f64),
        has_unit: false,
    },
    Kind {
        name: "isobench_failed_samples",
        help: "Failed samples",
        value: |row| Some(row.failed as f64),
        has_unit: false,
    },
    Kind {
        name: "isobench_p95",
        help: "95th percentile of the good samples",
        value: |row| row.p95,
        has_unit: true,
    },
    Kind {
        name: "isobench_p95_low",
        help: "Lower end of the 95 % interval of the 95th percentile",
        value: |row| row.p95_low,
        has_unit: true,
    },
    Kind {
        name: "isobench_p95_high",
        help: "Upper end of the 95 % interval of the 95th percentile",
        value: |row| row.p95_high,
        has_unit: true,
    },
    Kind {
        name: "isobench_p99",
        help: "99th percentile of the good samples",
        value: |row| row.p99,
        has_unit: true,
    },
    Kind {
        name: "isobench_p99_low",
        help: "Lower end of the 95 % interval of the 99th percentile",
        value: |row| row.p99_low,
        has_unit: true,
    },
    Kind {
        name: "isobench_p99_high",
        help: "Upper end of the 95 % interval of the 99th percentile",
        value: |row| row.p99_high,
        has_unit: true,
    },
    Kind {
        name: "isobench_success",
        help: "Share of the samples that succeeded",
        value: |row| row.success,
        has_unit: false,
    },
    Kind {
        name: "isobench_success_low",
        help: "Lower end of the 95 % interval of that share",
        value: |row| row.success_low,
        has_unit: false,
    },
    Kind {
        name: "isobench_success_high",
        help: "Upper end of the 95 % interval of that share",
        value: |row| row.success_high,
        has_unit: false,
    },
];

/// One family with its samples in the order of the rows; the crate's own `Family` would shuffle
/// them.
#[derive(Debug)]
struct Samples {
    name: &'static str,
    help: &'static str,
    unit: Option<MetricUnit>,
    values: Vec<(Labels, f64)>,
}

impl Samples {
    fn of<'r>(
        kind: &Kind,
        unit: Option<MetricUnit>,
        sources: impl Iterator<Item = &'r Source<'r>>,
        divisor: f64,
    ) -> Self {
        Self {
            name: kind.name,
            help: kind.help,
            unit,
            values: sources
                .filter_map(|source| {
                    let value = (kind.value)(&source.row)?;
                    Some((Labels::of(source), value / divisor))
                })
                .collect(),
        }
    }
}

impl Collector for Samples {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let unit = self.unit.as_ref();
        let mut family =
            encoder.encode_descriptor(self.name, self.help, unit, MetricType::Gauge)?;
        for (labels, value) in &self.values {
            ConstGauge::new(*value).encode(family.encode_family(labels)?)?;
        }
        Ok(())
    }
}

impl Labels {
    fn of(source: &Source<'_>) -> Self {
        let row = &source.row;
        Self {
            target: label(row.target),
            experiment: label(row.experiment),
            metric: label(row.metric),
            status: row.status,
            host: label(row.host),
            started: label(row.started),
            run: source.run.clone(),
            seed: source.seed,
        }
    }
}

/// The figures of all runs. A run that is given twice stands once.
fn sources<'a>(summaries: &[Summary<'a>]) -> Result<Vec<Source<'a>>, FormatError> {
    let (mut sources, mut known) = (Vec::new(), HashSet::new());
    for summary in summaries {
        let (run, seed) = (run_id::of(summary.run)?, summary.run.seed);
        if known.insert(run.clone()) {
            let rows = rows(summary).into_iter();
            sources.extend(rows.map(|row| Source {
                row,
                run: run.clone(),
                seed,
            }));
        }
    }
    Ok(sources)
}

fn render(summaries: &[Summary<'_>]) -> Result<String, FormatError> {
    let sources = sources(summaries)?;
    let mut units: Vec<Unit> = Vec::new();
    for unit in sources.iter().map(|source| source.row.metric_unit) {
        if !units.contains(&unit) {
            units.push(unit);
        }
    }
    let mut registry = Registry::default();
    for kind in KINDS {
        if !kind.has_unit {
            let samples = Samples::of(&kind, None, sources.iter(), 1.0);
            registry.register_collector(Box::new(samples));
            continue;
        }
        for unit in &units {
            let of_unit = sources.iter();
            let of_unit = of_unit.filter(|source| source.row.metric_unit == *unit);
            let (name, divisor) = base_unit(*unit);
            let samples = Samples::of(&kind, Some(name), of_unit, divisor);
            // Only times have tails.
            if !samples.values.is_empty() {
                registry.register_collector(Box::new(samples));
            }
        }
    }
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// The base unit that the format asks for, and how many of the samples' units make one base unit.
fn base_unit(unit: Unit) -> (MetricUnit, f64) {
    let other = |name: &str| (MetricUnit::Other(name.to_owned()), 1.0);
    match unit {
        Unit::Nanoseconds => (MetricUnit::Seconds, 1e9),
        Unit::Bytes => (MetricUnit::Bytes, 1.0),
        Unit::BytesPerSecond => other("bytes_per_second"),
        Unit::OperationsPerSecond => other("operations_per_second"),
        // The metric's name says what is counted; `_count` is reserved for histograms.
        Unit::Count => other("number"),
    }
}
