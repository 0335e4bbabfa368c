//! From samples to figures: one cell for each target and metric.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use super::{Cell, CellContent, Column, Failure, Figure, Ratio, Section, Test};
use crate::figures::name::FigureName;
use crate::figures::parts::divide;
use crate::model::{Experiment, Metric, Run, Sample, Status, TOTAL, Target};
use crate::statistics::shape::Outliers;
use crate::statistics::{Interval, Series};

/// The figures of one experiment.
pub(super) fn section<'a>(
    run: &'a Run,
    experiment: &'a Experiment,
    baseline: Option<&'a Target>,
    samples: &HashMap<FigureName<'a>, Vec<&'a Sample>>,
) -> Section<'a> {
    let metrics = experiment.metrics.iter();
    Section {
        experiment,
        columns: metrics
            .map(|metric| column(run, experiment, metric, baseline, samples))
            .collect(),
    }
}

fn column<'a>(
    run: &'a Run,
    experiment: &'a Experiment,
    metric: &'a Metric,
    baseline: Option<&'a Target>,
    samples: &HashMap<FigureName<'a>, Vec<&'a Sample>>,
) -> Column<'a> {
    let samples_of = |target: &'a Target| {
        samples
            .get(&FigureName {
                target: &target.name,
                experiment: &experiment.name,
                metric: &metric.name,
            })
            .map_or(&[][..], Vec::as_slice)
    };
    let base = baseline.map(|target| totals(samples_of(target)));
    // Drawing intervals takes most of a report's time, and each figure is independent of the
    // others.
    let cells = run
        .targets
        .par_iter()
        .map(|target| {
            let base = base
                .as_ref()
                .filter(|_| baseline.is_some_and(|baseline| baseline.name != target.name));
            cell(target, metric, samples_of(target), base)
        })
        .collect();
    Column { metric, cells }
}

fn cell<'a>(
    target: &'a Target,
    metric: &'a Metric,
    samples: &[&'a Sample],
    baseline: Option<&Series>,
) -> Cell<'a> {
    let failures = failures(samples);
    let series = totals(samples);
    let late = |interval: Interval| match metric.resolution {
        Some(period) => interval.late_by(period),
        None => interval,
    };
    let ratio_interval = |baseline| match metric.resolution {
        Some(period) => series.ratio_interval_late_by(baseline, period),
        None => series.ratio_interval(baseline),
    };
    let content = if let Some(median) = series.median() {
        CellContent::Figure(Box::new(Figure {
            median,
            interval: series.median_interval().map(late),
            count: series.count(),
            outliers: Outliers::of(&series.values().collect::<Vec<_>>()),
            ratio: baseline.and_then(|baseline| {
                series.ratio(baseline).map(|value| Ratio {
                    value,
                    interval: ratio_interval(baseline),
                    test: Test::of(series.evidence(baseline)),
                })
            }),
            parts: divide(metric, samples, median),
            series,
        }))
    } else if let Some(unavailable) = &target.unavailable {
        CellContent::Unavailable(&unavailable.reason)
    } else if let Some(sample) = samples
        .iter()
        .find(|sample| sample.status == Status::Unavailable)
    {
        CellContent::Unavailable(sample.reason.as_deref().unwrap_or("no reason was recorded"))
    } else if failures.is_empty() {
        CellContent::NotTaken
    } else {
        CellContent::Failed
    };
    Cell {
        target,
        content,
        failures,
    }
}

fn totals(samples: &[&Sample]) -> Series {
    let good = samples
        .iter()
        .filter(|sample| sample.status == Status::Ok && sample.part == TOTAL);
    Series::new(good.filter_map(|sample| Some((sample.round, sample.value?))))
}

/// Counts failures by reason; the samples of one instance, which share a sequence number, count
/// once.
fn failures<'a>(samples: &[&'a Sample]) -> Vec<Failure<'a>> {
    let mut seen = BTreeSet::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for sample in samples
        .iter()
        .filter(|sample| sample.status == Status::Failed)
    {
        if seen.insert(sample.sequence) || sample.part == TOTAL {
            *counts
                .entry(sample.reason.as_deref().unwrap_or("no reason was recorded"))
                .or_default() += 1;
        }
    }
    counts
        .into_iter()
        .map(|(reason, count)| Failure { reason, count })
        .collect()
}
