//! The changes between two runs.

use serde::Serialize;

use super::{Format, FormatError, csv, json, markdown};
use crate::compare::{Change, Comparison, Presence, Row};
use crate::model::Better;
use crate::words::units;

/// One figure in two runs.
#[derive(Debug, Serialize)]
struct ChangeRow<'a> {
    target: &'a str,
    experiment: &'a str,
    metric: &'a str,
    unit: &'static str,
    better: Better,
    base: Option<f64>,
    new: Option<f64>,
    ratio: Option<f64>,
    ratio_low: Option<f64>,
    ratio_high: Option<f64>,
    p: Option<f64>,
    verdict: &'static str,
    reason: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    base: &'a str,
    new: &'a str,
    threshold: f64,
    /// What differs between the conditions of the two runs; empty if the runs can be compared.
    obstacles: Vec<String>,
    regression: bool,
    changes: Vec<ChangeRow<'a>>,
}

/// Writes a comparison.
///
/// # Errors
///
/// For [`Format::OpenMetrics`], which has no comparisons, or if the format's own writer fails.
pub fn render(comparison: &Comparison<'_>, format: Format) -> Result<String, FormatError> {
    let rows: Vec<_> = comparison.rows.iter().map(row).collect();
    match format {
        Format::Json => json(&Document {
            base: &comparison.base.started,
            new: &comparison.new.started,
            threshold: comparison.threshold,
            obstacles: comparison
                .obstacles
                .iter()
                .map(ToString::to_string)
                .collect(),
            regression: comparison.has_regression(),
            changes: rows,
        }),
        Format::Csv => csv(&rows),
        Format::Markdown => Ok(table(comparison)),
        Format::OpenMetrics => Err(FormatError::NoMetrics),
    }
}

fn row<'a>(row: &Row<'a>) -> ChangeRow<'a> {
    let pair = row.pair();
    let interval = pair.and_then(|pair| pair.interval);
    let (verdict, reason) = verdict(&row.presence);
    ChangeRow {
        target: row.target,
        experiment: row.experiment,
        metric: &row.metric.name,
        unit: row.metric.unit.symbol(),
        better: row.metric.better,
        base: pair.map(|pair| pair.base),
        new: pair.map(|pair| pair.new),
        ratio: pair.and_then(|pair| pair.ratio),
        ratio_low: interval.map(|interval| interval.low),
        ratio_high: interval.map(|interval| interval.high),
        p: pair.map(|pair| pair.p),
        verdict,
        reason,
    }
}

/// The word for what became of a figure, with the reason for which it was lost.
fn verdict<'a>(presence: &Presence<'a>) -> (&'static str, Option<&'a str>) {
    match presence {
        Presence::InBoth(pair) => (pair.change.name(), None),
        Presence::Lost(reason) => ("lost", Some(reason)),
        Presence::OnlyInBase => ("only-in-base", None),
        Presence::OnlyInNew => ("only-in-new", None),
    }
}

impl Change {
    /// The name of the change for programs.
    const fn name(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::NoDifference => "no-difference",
            Self::Unclear => "unclear",
        }
    }
}

fn table(comparison: &Comparison<'_>) -> String {
    let rows = comparison.rows.iter().map(|row| {
        let unit = row.metric.unit;
        let pair = row.pair();
        let (verdict, reason) = verdict(&row.presence);
        let percent = |ratio: f64| units::percent(ratio - 1.0);
        let value = |value: Option<f64>| value.map(|value| units::value(unit, value));
        let change = pair.and_then(|pair| pair.ratio);
        let interval = pair.and_then(|pair| pair.interval);
        [
            row.experiment.to_owned(),
            row.metric.name.clone(),
            row.target.to_owned(),
            value(pair.map(|pair| pair.base)).unwrap_or_default(),
            value(pair.map(|pair| pair.new)).unwrap_or_default(),
            change
                .map(|ratio| percent(ratio) + " %")
                .unwrap_or_default(),
            interval
                .map(|interval| {
                    format!("{} to {} %", percent(interval.low), percent(interval.high))
                })
                .unwrap_or_default(),
            reason.map_or(verdict.to_owned(), |reason| format!("{verdict}: {reason}")),
        ]
    });
    let header = [
        "experiment",
        "metric",
        "target",
        "base",
        "new",
        "change",
        "95 % interval",
        "verdict",
    ];
    let table = markdown(header, rows);
    if comparison.obstacles.is_empty() {
        return table;
    }
    let obstacles = comparison.obstacles.iter();
    let lines: Vec<_> = obstacles
        .map(|obstacle| format!("> - {obstacle}\n"))
        .collect();
    format!(
        "> **Not the same conditions**: changes may be the host's.\n>\n{}\n{table}",
        lines.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn each_format_has_each_row_and_a_comparison_has_no_metrics() {
        let (base, mut new) = (fixture::run(), fixture::run());
        for sample in &mut new.samples {
            sample.value = sample.value.map(|value| value * 1.2);
        }
        new.host.facts[1].value = "another kernel".to_owned();
        let comparison = Comparison::of(&base, &new, 0.05);
        let text = |format| render(&comparison, format).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text(Format::Json)).unwrap();
        assert_eq!(json["regression"], true);
        assert_eq!(json["obstacles"].as_array().unwrap().len(), 1);
        let rows = json["changes"].as_array().unwrap();
        assert_eq!(rows.len(), comparison.rows.len());
        assert!((rows[0]["ratio"].as_f64().unwrap() - 1.2).abs() < 1e-9);
        assert_eq!(text(Format::Csv).lines().count(), rows.len() + 1);
        let markdown = text(Format::Markdown);
        assert!(
            markdown.starts_with("> **Not the same conditions**"),
            "{markdown}"
        );
        assert!(markdown.contains("| +20 %  |"), "{markdown}");
        assert!(matches!(
            render(&comparison, Format::OpenMetrics),
            Err(FormatError::NoMetrics)
        ));
    }
}
