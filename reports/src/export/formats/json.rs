//! JSON: one document for all runs, one for a comparison.

use std::collections::BTreeMap;

use serde::Serialize;

use super::change_row::{self, ChangeRow};
use super::explained::{self, ExplanationRow};
use super::row::{FigureRow, rows};
use super::{Format, FormatError};
use crate::compare::Comparison;
use crate::figures::summary::Summary;
use crate::findings::conduct;
use crate::findings::doubts;
use crate::words::{Language, Words};

pub const FORMAT: Format = Format {
    name: "json",
    about: "One JSON document",
    figures,
    changes: Some(changes),
};

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

#[derive(Debug, Serialize)]
struct ComparisonDocument<'a> {
    base: &'a str,
    new: &'a str,
    threshold: f64,
    /// What differs between the conditions of the two runs; empty if the runs can be compared.
    obstacles: Vec<String>,
    regression: bool,
    changes: Vec<ChangeRow<'a>>,
}

fn figures(summaries: &[Summary<'_>]) -> Result<String, FormatError> {
    write(&summaries.iter().map(document).collect::<Vec<_>>())
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

fn changes(comparison: &Comparison<'_>) -> Result<String, FormatError> {
    write(&ComparisonDocument {
        base: &comparison.base.started,
        new: &comparison.new.started,
        threshold: comparison.threshold,
        obstacles: comparison
            .obstacles
            .iter()
            .map(ToString::to_string)
            .collect(),
        regression: comparison.has_regression(),
        changes: change_row::rows(comparison),
    })
}

/// Writes a document, indented, with a line end.
pub fn write(document: &impl Serialize) -> Result<String, FormatError> {
    Ok(serde_json::to_string_pretty(document)? + "\n")
}
