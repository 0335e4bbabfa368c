//! The figures of runs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::explained::{self, ExplanationRow};
use super::row::{FigureRow, INJECTED, rows};
use super::{Format, FormatError, csv, json, markdown, openmetrics};
use crate::figures::summary::Summary;
use crate::findings::conduct;
use crate::findings::doubts;
use crate::model::Run;
use crate::statistics::{Interval, Tail};
use crate::words::units;
use crate::words::{Language, Words};

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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    explanations: Vec<ExplanationRow<'a>>,
}

#[derive(Debug, Serialize)]
struct DoubtDocument {
    kind: &'static str,
    text: String,
}

/// Writes every figure of `runs`; ratios are to rung 0 of the ladder, or to the target named
/// `baseline`.
///
/// # Errors
///
/// If the format's own writer fails.
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
        Format::OpenMetrics => openmetrics::render(&summaries),
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
        doubts: doubts::of(summary)
            .iter()
            .map(|doubt| DoubtDocument {
                kind: doubt.name(),
                text: doubt.tell(&words),
            })
            .collect(),
        warnings: &run.warnings,
        figures: rows(summary),
        explanations: explained::rows(summary),
    }
}

/// The line above a table if a processor was emulated; other formats have that in the host of each
/// row or run.
fn stamp(runs: &[Run]) -> String {
    let mut stamps: Vec<_> = runs.iter().filter_map(Run::stamp).collect();
    stamps.dedup();
    let lines = stamps.iter().map(|stamp| format!("> **{stamp}**\n\n"));
    lines.collect()
}

/// The header of a table for people.
const HEADER: [&str; 10] = [
    "experiment",
    "metric",
    "target",
    "median",
    "95 % interval",
    "ratio",
    "verdict",
    "p95",
    "p99",
    "success",
];

/// A table for people; the host is a column if there are several runs.
fn table(rows: &[FigureRow<'_>], several: bool) -> String {
    let header = several.then_some("host").into_iter().chain(HEADER);
    let rows = rows.iter().map(|row| {
        let host = several.then(|| row.host.to_owned());
        host.into_iter().chain(texts(row))
    });
    markdown(header, rows)
}

fn texts(row: &FigureRow<'_>) -> [String; HEADER.len()] {
    let unit = row.metric_unit;
    let interval = row.low.zip(row.high).zip(row.median);
    let interval =
        interval.map(|((low, high), median)| units::interval(unit, Interval { low, high }, median));
    let [p95, p99, success] = tail_texts(row);
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
        p95,
        p99,
        success,
    ]
}

/// The far quantiles and the success rate of a row, each with how sure it is.
fn tail_texts(row: &FigureRow<'_>) -> [String; 3] {
    let Some(tail) = row.tail else {
        return Default::default();
    };
    let words = Words::of(Language::English);
    let unit = row.metric_unit;
    let quantile = |tail: Tail| {
        let bounds = words.bounds(unit, tail);
        format!("{} ({bounds})", units::value(unit, tail.value))
    };
    let quantile = |tail: Option<Tail>| tail.map(quantile).unwrap_or_default();
    let share = units::share(tail.success.share);
    let success = match tail.success.interval {
        Some(interval) => format!("{share} ({})", units::share_interval(interval)),
        None => share,
    };
    [quantile(tail.p95), quantile(tail.p99), success]
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
    fn tails_stand_behind_the_columns_that_there_were() {
        let mut run = fixture::run();
        fixture::only_time(&mut run);
        fixture::add_burst(&mut run);
        let csv = render(&[run.clone()], None, Format::Csv).unwrap();
        let (header, _) = csv.split_once('\n').unwrap();
        let behind = header.split_once(",reason,").unwrap().1;
        let expected = "p95,p95_low,p95_high,p95_needs,p99,p99_low,p99_high,p99_needs,success,\
                        success_low,success_high,resolution";
        assert_eq!(behind, expected);
        let json = render(&[run.clone()], None, Format::Json).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let figure = |metric: &str| {
            let figures = json[0]["figures"].as_array().unwrap().iter();
            let mut figures = figures.filter(|row| row["target"] == "container");
            figures.find(|row| row["metric"] == metric).unwrap().clone()
        };
        let ready = figure("ready");
        assert_eq!(
            (&ready["p95_needs"], &ready["p95_low"]),
            (&41.into(), &().into())
        );
        assert_eq!(
            (&ready["resolution"], &ready["samples"]),
            (&1e6.into(), &18.into())
        );
        let user = figure("user");
        assert_eq!((&user["p95"], &user["success"]), (&().into(), &().into()));
        let metrics = render(&[run], None, Format::OpenMetrics).unwrap();
        let success =
            "isobench_success{target=\"process\",experiment=\"burst\",metric=\"burst-100\"";
        assert!(metrics.contains(success), "{metrics}");
        assert!(
            metrics.contains("# TYPE isobench_p95_seconds gauge"),
            "{metrics}"
        );
        assert!(!metrics.contains("isobench_p95_bytes"), "{metrics}");
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
    fn no_set_of_labels_stands_twice_however_alike_the_runs_are() {
        // Equal machines that began in the same second, with the same seed; and one of them again.
        let one = small();
        let mut two = one.clone();
        two.samples[0].value = two.samples[0].value.map(|value| value + 1.0);
        let mut three = two.clone();
        three.seed += 1;
        // Names that are alike as far as a label reaches, or once control characters are replaced.
        for target in 0..2 {
            let name = "x".repeat(300) + ["\u{1}", "\u{2}"][target];
            let old = std::mem::replace(&mut three.targets[target].name, name.clone());
            let own = three.samples.iter_mut().filter(|one| one.target == old);
            own.for_each(|sample| sample.target.clone_from(&name));
        }
        let runs = [one.clone(), two, three, one];
        let text = render(&runs, None, Format::OpenMetrics).unwrap();
        let mut known = std::collections::HashSet::new();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        for (labels, _) in samples.map(|line| line.rsplit_once(' ').unwrap()) {
            assert!(known.insert(labels), "twice: {labels}");
        }
        let of_one = render(&runs[..1], None, Format::OpenMetrics).unwrap();
        let of_one = of_one.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(known.len(), 3 * of_one);
        assert!(text.ends_with("# EOF\n"));
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
