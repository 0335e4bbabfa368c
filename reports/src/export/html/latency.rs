//! How long the single operations of an experiment took, with a chart for each metric.

use super::figure::{FigureView, LegendItem};
use crate::chart::{ChartError, percentiles, theme};
use crate::figures::latency::{self, Percentile};
use crate::figures::summary::Section;
use crate::model::{Run, Target, Unit};
use crate::schema::disk;
use crate::words::Words;
use crate::words::units;

/// The percentiles that the legend has, with their names; the last is the longest operation.
const TOLD: [(f64, &str); 4] = [
    (50.0, "latency.p50"),
    (99.0, "latency.p99"),
    (99.9, "latency.p999"),
    (100.0, "latency.longest"),
];

/// Draws the latencies of each metric whose samples hold latencies.
pub fn figures(
    run: &Run,
    section: &Section<'_>,
    words: &Words,
) -> Result<Vec<FigureView>, ChartError> {
    let experiment = section.experiment.name.as_str();
    let mut figures = Vec::new();
    let told = latency::timed_samples(run, experiment);
    if told.is_empty() {
        return Ok(figures);
    }
    for column in &section.columns {
        let metric = column.metric.name.as_str();
        let targets = run.targets.iter();
        let found: Vec<_> = targets
            .clone()
            .map(|target| latency::percentiles(&told, metric, &target.name))
            .collect();
        let Some(chart) = percentiles::render(run, &found, words)? else {
            continue;
        };
        let name = format!("latency.of-{}", column.metric.name);
        let what = words.find(&name).unwrap_or(&column.metric.title);
        let legend = targets
            .zip(&found)
            .filter_map(|(target, found)| item(run, target, found, words));
        figures.push(FigureView {
            title: words.say_one("latency.title", "operation", what),
            chart,
            logarithmic: None,
            caption: words.text("latency.caption").to_owned(),
            legend: legend.collect(),
        });
    }
    Ok(figures)
}

fn item(run: &Run, target: &Target, found: &[Percentile], words: &Words) -> Option<LegendItem> {
    let told = TOLD.iter().filter_map(|(percent, name)| {
        let one = found
            .iter()
            .find(|one| one.percent.total_cmp(percent).is_eq())?;
        let value = units::value(Unit::Nanoseconds, one.median);
        Some((words.text(name).to_owned(), value))
    });
    (!found.is_empty()).then(|| LegendItem {
        ink: theme::ink_of(run, target).name(),
        name: target.name.clone(),
        explanation: String::new(),
        medians: told.collect(),
    })
}

/// How to get latencies, for a run of the disk without them.
pub fn wanted<'w>(run: &Run, section: &Section<'_>, words: &'w Words) -> Option<&'w str> {
    let experiment = section.experiment.name.as_str();
    (experiment == disk::NAME && !latency::has_latencies(run, experiment))
        .then(|| words.text("latency.wanted"))
}
