//! The figures of runs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Format, FormatError, csv, json, markdown, openmetrics};
use crate::conduct;
use crate::guards;
use crate::model::{Better, EMULATED, Metric, Run, Unit};
use crate::summary::{Cell, Figure, Outcome, Section, Summary};
use crate::units;
use crate::words::{Language, Words};

/// The status of a figure that a delay was added to on purpose.
const INJECTED: &str = "injected";

/// One figure, or the reason for which there is none.
#[derive(Debug, Serialize)]
pub struct FigureRow<'a> {
    pub host: &'a str,
    pub started: &'a str,
    pub target: &'a str,
    pub experiment: &'a str,
    pub metric: &'a str,
    pub unit: &'static str,
    pub better: Better,
    pub status: &'static str,
    pub median: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub samples: usize,
    pub failed: usize,
    pub outliers: usize,
    pub baseline: Option<&'a str>,
    pub ratio: Option<f64>,
    pub ratio_low: Option<f64>,
    pub ratio_high: Option<f64>,
    pub p: Option<f64>,
    pub verdict: Option<&'static str>,
    pub reason: Option<String>,
    #[serde(skip)]
    pub metric_unit: Unit,
    #[serde(skip)]
    pub word: Option<&'static str>,
}

/// A run with its figures.
#[derive(Debug, Serialize)]
struct RunDocument<'a> {
    tool: &'a str,
    version: &'a str,
    started: &'a str,
    duration_seconds: f64,
    partial: bool,
    profile: &'a str,
    seed: u64,
    host: &'a str,
    baseline: Option<&'a str>,
    conduct: BTreeMap<&'static str, String>,
    doubts: Vec<DoubtDocument>,
    warnings: &'a [String],
    figures: Vec<FigureRow<'a>>,
}

#[derive(Debug, Serialize)]
struct DoubtDocument {
    kind: &'static str,
    text: String,
}

/// Writes every figure of `runs`; ratios are to rung 0 of the ladder, or to the target named `baseline`.
///
/// # Errors
///
/// When the format's own writer fails.
pub fn render(runs: &[Run], baseline: Option<&str>, format: Format) -> Result<String, FormatError> {
    let summaries: Vec<_> = runs
        .iter()
        .map(|run| Summary::against(run, baseline))
        .collect();
    let all = || summaries.iter().flat_map(rows).collect::<Vec<_>>();
    match format {
        Format::Json => json(&summaries.iter().map(document).collect::<Vec<_>>()),
        Format::Csv => csv(&all()),
        Format::Markdown => Ok(stamp(runs) + &table(&all(), runs.len() > 1)),
        Format::OpenMetrics => openmetrics::render(&all()),
    }
}

fn document<'a>(summary: &Summary<'a>) -> RunDocument<'a> {
    let run = summary.run;
    let words = Words::of(Language::English);
    RunDocument {
        tool: &run.tool,
        version: &run.version,
        started: &run.started,
        duration_seconds: run.duration_seconds,
        partial: run.partial,
        profile: &run.profile,
        seed: run.seed,
        host: &run.host.summary,
        baseline: summary.baseline.map(|target| target.name.as_str()),
        conduct: conduct::notes(summary).into_iter().collect(),
        doubts: guards::doubts(summary)
            .iter()
            .map(|doubt| DoubtDocument {
                kind: doubt.name(),
                text: doubt.tell(&words),
            })
            .collect(),
        warnings: &run.warnings,
        figures: rows(summary),
    }
}

fn rows<'a>(summary: &Summary<'a>) -> Vec<FigureRow<'a>> {
    let mut rows = Vec::new();
    for section in &summary.sections {
        for column in &section.columns {
            let cells = column.cells.iter();
            rows.extend(cells.filter_map(|cell| row(summary, section, column.metric, cell)));
        }
    }
    rows
}

/// The row of a cell; none if nobody asked for it.
fn row<'a>(
    summary: &Summary<'a>,
    section: &Section<'a>,
    metric: &'a Metric,
    cell: &Cell<'a>,
) -> Option<FigureRow<'a>> {
    let failed = cell.failures.first().map(|failure| failure.reason);
    let injections = &summary.run.conduct.injections;
    let is_injected = injections.iter().any(|injection| {
        (&injection.target, &injection.experiment) == (&cell.target.name, &section.experiment.name)
    });
    let (status, reason) = match &cell.outcome {
        Outcome::Measured(_) if is_injected => (INJECTED, failed),
        Outcome::Measured(_) => ("ok", failed),
        Outcome::Unavailable(reason) => ("unavailable", Some(*reason)),
        Outcome::Failed => ("failed", failed),
        Outcome::NotTaken => return None,
    };
    let figure = cell.figure();
    let ratio = figure.and_then(|figure| figure.ratio);
    let interval = figure.and_then(|figure: &Figure<'_>| figure.interval);
    let ratio_interval = ratio.and_then(|ratio| ratio.interval);
    Some(FigureRow {
        host: &summary.run.host.summary,
        started: &summary.run.started,
        target: &cell.target.name,
        experiment: &section.experiment.name,
        metric: &metric.name,
        unit: metric.unit.symbol(),
        better: metric.better,
        status,
        median: figure.map(|figure| figure.median),
        low: interval.map(|interval| interval.low),
        high: interval.map(|interval| interval.high),
        samples: figure.map_or(0, |figure| figure.count),
        failed: cell.failed(),
        outliers: figure.map_or(0, |figure| figure.outliers.all),
        baseline: ratio
            .and(summary.baseline)
            .map(|target| target.name.as_str()),
        ratio: ratio.map(|ratio| ratio.value),
        ratio_low: ratio_interval.map(|interval| interval.low),
        ratio_high: ratio_interval.map(|interval| interval.high),
        p: ratio.map(|ratio| ratio.test.corrected),
        verdict: ratio.map(|ratio| ratio.test.verdict.name()),
        reason: reason.map(str::to_owned),
        metric_unit: metric.unit,
        word: ratio.map(|ratio| ratio.test.verdict.word(metric.unit, metric.better)),
    })
}

/// What stands above a table if a processor was emulated; the other formats have it in the host of each row or run.
fn stamp(runs: &[Run]) -> String {
    let emulated = runs.iter().any(|run| run.host.is_emulated());
    if emulated {
        format!("> **{EMULATED}**\n\n")
    } else {
        String::new()
    }
}

/// A table for people; the host is a column where there are several.
fn table(rows: &[FigureRow<'_>], several: bool) -> String {
    let texts = |row: &FigureRow<'_>| {
        let unit = row.metric_unit;
        let interval = row.low.zip(row.high).zip(row.median);
        let interval = interval.map(|((low, high), median)| {
            units::interval(unit, crate::statistics::Interval { low, high }, median)
        });
        [
            row.experiment.to_owned(),
            row.metric.to_owned(),
            row.target.to_owned(),
            match (row.median, &row.reason) {
                (Some(median), _) if row.status == INJECTED => {
                    format!(
                        "{} (a delay was added on purpose)",
                        units::value(unit, median)
                    )
                }
                (Some(median), _) => units::value(unit, median),
                (None, Some(reason)) => format!("{}: {reason}", row.status),
                (None, None) => row.status.to_owned(),
            },
            interval.unwrap_or_default(),
            row.ratio.map(units::ratio).unwrap_or_default(),
            row.word.unwrap_or_default().to_owned(),
        ]
    };
    let header = ["experiment", "metric", "target", "median", "95 % interval"];
    let [experiment, metric, target, median, interval] = header;
    if several {
        let rows = rows.iter().map(|row| {
            let [experiment, metric, target, median, interval, ratio, verdict] = texts(row);
            let host = row.host.to_owned();
            [
                host, experiment, metric, target, median, interval, ratio, verdict,
            ]
        });
        let header = [
            "host", experiment, metric, target, median, interval, "ratio", "verdict",
        ];
        markdown(header, rows.collect())
    } else {
        let header = [
            experiment, metric, target, median, interval, "ratio", "verdict",
        ];
        markdown(header, rows.iter().map(texts).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn small() -> Run {
        let mut run = fixture::run();
        run.targets
            .retain(|target| target.name != "docker" && target.name != "namespaces");
        run.experiments.truncate(2);
        run.samples.retain(|sample| {
            sample.experiment != "disk"
                && run
                    .targets
                    .iter()
                    .any(|target| target.name == sample.target)
        });
        run
    }

    #[test]
    fn every_format_has_every_figure_and_every_reason() {
        let run = small();
        let text = |format| render(std::slice::from_ref(&run), None, format).unwrap();
        for (format, hint) in [
            (Format::Json, "\"verdict\": \"worse\""),
            (Format::Csv, ",worse,"),
            (Format::Markdown, "| slower"),
        ] {
            let text = text(format);
            assert!(text.contains(hint), "{text}");
            assert!(text.contains("the host has software KVM"), "{text}");
        }
        let json: serde_json::Value = serde_json::from_str(&text(Format::Json)).unwrap();
        let rows = json[0]["figures"].as_array().unwrap().len();
        assert_eq!(rows, 5 + 5 + 5);
        assert_eq!(text(Format::Csv).lines().count(), rows + 1);
        assert_eq!(text(Format::Markdown).lines().count(), rows + 2);
    }

    #[test]
    fn the_table_in_markdown() {
        insta::assert_snapshot!(render(&[small()], None, Format::Markdown).unwrap());
    }

    #[test]
    fn the_metrics_of_a_small_run() {
        let mut run = small();
        run.experiments.truncate(1);
        run.targets.truncate(2);
        run.samples.retain(|sample| {
            sample.experiment == "startup"
                && ["process", "container"].contains(&sample.target.as_str())
        });
        run.host.summary = "a \"host\"\\\nof two lines".to_owned();
        insta::assert_snapshot!(render(&[run], None, Format::OpenMetrics).unwrap());
    }

    #[test]
    fn hosts_are_told_apart_and_hostile_names_stay_in_their_cells() {
        let (mut one, mut two) = (small(), small());
        one.host.summary = "host | one".to_owned();
        two.host.summary = "host\ntwo".to_owned();
        let text = render(&[one.clone(), two.clone()], None, Format::Markdown).unwrap();
        assert!(text.contains("host \\| one") && text.contains("host\u{fffd}two"));
        assert_eq!(text.lines().count(), 2 * 15 + 2);
        let csv = render(&[one, two], Some("container"), Format::Csv).unwrap();
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let hosts: std::collections::BTreeSet<String> = reader
            .records()
            .map(|record| record.unwrap()[0].to_owned())
            .collect();
        assert_eq!(hosts.len(), 2);
    }
}
