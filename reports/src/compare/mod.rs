//! Two runs beside each other: what changed from one to the other, and whether chance explains it.
//!
//! Two runs share no rounds, so nothing is paired: intervals draw each side by itself, and labels change places among
//! all values. What differs between two runs beyond what differs within each (another placement in memory, a
//! neighbour on the same machine) no statistic of two runs can see; the threshold stands for it.

mod hosts;

use std::collections::HashMap;

use crate::figures::name::FigureName;
use crate::figures::summary::{self, Figure, Outcome, SIGNIFICANCE, Summary, is_large};
use crate::model::{Better, Metric, Run};
use crate::statistics::{Interval, permutation};

pub use hosts::{Obstacle, obstacles};

/// Everything that two runs have in common, figure by figure.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// The run that the other is held against.
    pub base: &'a Run,
    /// The other one.
    pub new: &'a Run,
    /// Smallest change that matters, as a part of the base.
    pub threshold: f64,
    /// Why the two can't be compared; shown above all figures if they are all the same.
    pub obstacles: Vec<Obstacle>,
    /// One row per figure of either run, in the order of the base.
    pub rows: Vec<Row<'a>>,
}

/// One figure in both runs.
#[derive(Debug)]
pub struct Row<'a> {
    /// Name of the target.
    pub target: &'a str,
    /// Name of the experiment.
    pub experiment: &'a str,
    /// The metric.
    pub metric: &'a Metric,
    /// What became of it.
    pub change: Change<'a>,
}

/// What became of a figure.
#[derive(Debug)]
pub enum Change<'a> {
    /// Both runs have it.
    Measured(Measured),
    /// The base has it, and the new run asked for it and failed.
    Lost(&'a str),
    /// Only the base has it: the new run didn't ask.
    OnlyBase,
    /// Only the new run has it.
    OnlyNew,
}

/// A figure that both runs have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Median of the base.
    pub base: f64,
    /// Median of the new run.
    pub new: f64,
    /// The new median over the old one; absent unless both are positive.
    pub ratio: Option<f64>,
    /// Its 95 % interval.
    pub interval: Option<Interval>,
    /// How often chance alone shows a change as large, corrected for all figures compared.
    pub p: f64,
    /// What follows.
    pub verdict: Verdict,
}

/// What can be said of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It got better by more than the threshold.
    Better,
    /// It got worse by more than the threshold.
    Worse,
    /// No change, or one below the threshold.
    NoDifference,
    /// The samples leave open whether there is a change that matters.
    Unclear,
}

impl<'a> Comparison<'a> {
    /// Holds `new` against `base`; `threshold` is the smallest change that matters, as a part of the base.
    pub fn of(base: &'a Run, new: &'a Run, threshold: f64) -> Self {
        let (before, after) = (Summary::of(base), Summary::of(new));
        let mut rows = both(&before, &after);
        judge(&mut rows, threshold);
        Self {
            base,
            new,
            threshold,
            obstacles: obstacles(base, new),
            rows,
        }
    }

    /// Whether a figure got worse, or was lost.
    pub fn has_regression(&self) -> bool {
        self.rows.iter().any(|row| match &row.change {
            Change::Measured(measured) => measured.verdict == Verdict::Worse,
            Change::Lost(_) => true,
            Change::OnlyBase | Change::OnlyNew => false,
        })
    }

    /// Number of figures with this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        let of = |row: &&Row<'_>| matches!(&row.change, Change::Measured(measured) if measured.verdict == verdict);
        self.rows.iter().filter(of).count()
    }
}

/// A cell with the names that identify it.
type Named<'a> = (FigureName<'a>, &'a Metric);

fn cells<'s, 'a>(
    summary: &'s Summary<'a>,
) -> impl Iterator<Item = (Named<'a>, &'s summary::Cell<'a>)> {
    summary.sections.iter().flat_map(|section| {
        section.columns.iter().flat_map(move |column| {
            column.cells.iter().map(move |cell| {
                let name = FigureName {
                    target: &cell.target.name,
                    experiment: &section.experiment.name,
                    metric: &column.metric.name,
                };
                ((name, column.metric), cell)
            })
        })
    })
}

fn both<'a>(before: &Summary<'a>, after: &Summary<'a>) -> Vec<Row<'a>> {
    let mut later: HashMap<_, _> = cells(after)
        .map(|((name, metric), cell)| (name, (metric, cell)))
        .collect();
    let mut rows = Vec::new();
    for ((name, metric), cell) in cells(before) {
        let now = later.remove(&name).map(|(_, cell)| cell);
        rows.extend(change(cell, now).map(|change| row(name, metric, change)));
    }
    // In the order of the new run, which a map has not.
    for ((name, metric), cell) in cells(after) {
        if later.contains_key(&name) && cell.figure().is_some() {
            rows.push(row(name, metric, Change::OnlyNew));
        }
    }
    rows
}

fn row<'a>(name: FigureName<'a>, metric: &'a Metric, change: Change<'a>) -> Row<'a> {
    Row {
        target: name.target,
        experiment: name.experiment,
        metric,
        change,
    }
}

/// What became of a cell; nothing if neither run has a figure.
fn change<'a>(before: &summary::Cell<'a>, after: Option<&summary::Cell<'a>>) -> Option<Change<'a>> {
    let old = before.figure();
    let Some(after) = after else {
        return old.map(|_| Change::OnlyBase);
    };
    match (old, after.figure()) {
        (Some(old), Some(new)) => Some(Change::Measured(measured(old, new))),
        (None, Some(_)) => Some(Change::OnlyNew),
        (None, None) => None,
        (Some(_), None) => Some(match &after.outcome {
            Outcome::Unavailable(reason) => Change::Lost(reason),
            Outcome::Failed => Change::Lost(
                after
                    .failures
                    .first()
                    .map_or("every sample failed", |failure| failure.reason),
            ),
            Outcome::NotTaken | Outcome::Measured(_) => Change::OnlyBase,
        }),
    }
}

fn measured(old: &Figure<'_>, new: &Figure<'_>) -> Measured {
    Measured {
        base: old.median,
        new: new.median,
        ratio: new.series.ratio(&old.series),
        interval: new.series.ratio_interval_to_run(&old.series),
        p: new.series.evidence_to_run(&old.series).p,
        verdict: Verdict::Unclear,
    }
}

/// Corrects the p-values of all rows for each other, and gives each its verdict.
fn judge(rows: &mut [Row<'_>], threshold: f64) {
    let measured = |row: &Row<'_>| match &row.change {
        Change::Measured(measured) => Some(measured.p),
        _ => None,
    };
    let p_values: Vec<f64> = rows.iter().filter_map(measured).collect();
    let mut corrected = permutation::holm(&p_values).into_iter();
    for row in rows {
        if let Change::Measured(measured) = &mut row.change {
            measured.p = corrected.next().unwrap_or(1.0);
            measured.verdict = verdict(measured, row.metric.better, threshold);
        }
    }
}

fn verdict(measured: &Measured, better: Better, threshold: f64) -> Verdict {
    let Some(ratio) = measured.ratio else {
        // Sizes at or below zero have no ratio; equal ones are equal all the same.
        let equal = measured.base.total_cmp(&measured.new).is_eq();
        return if equal {
            Verdict::NoDifference
        } else {
            Verdict::Unclear
        };
    };
    let matters = is_large(ratio, threshold);
    match (matters, measured.p < SIGNIFICANCE) {
        (true, true) if (ratio > 1.0) == (better == Better::Higher) => Verdict::Better,
        (true, true) => Verdict::Worse,
        (true, false) => Verdict::Unclear,
        (false, true) => Verdict::NoDifference,
        // An interval that reaches beyond the threshold on both sides can't even tell the direction of a change.
        (false, false) => match measured.interval {
            Some(Interval { low, high })
                if low < 1.0 / (1.0 + threshold) && high > 1.0 + threshold =>
            {
                Verdict::Unclear
            }
            Some(_) => Verdict::NoDifference,
            None => Verdict::Unclear,
        },
    }
}

#[cfg(test)]
mod tests;
