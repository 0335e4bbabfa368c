//! One change as a row of a table.

use serde::Serialize;

use crate::compare::{Change, Comparison, Presence, Row};
use crate::model::{Better, Unit};

/// One figure in two runs.
#[derive(Debug, Serialize)]
pub struct ChangeRow<'a> {
    pub target: &'a str,
    pub experiment: &'a str,
    pub metric: &'a str,
    pub unit: &'static str,
    pub better: Better,
    pub base: Option<f64>,
    pub new: Option<f64>,
    pub ratio: Option<f64>,
    pub ratio_low: Option<f64>,
    pub ratio_high: Option<f64>,
    pub p: Option<f64>,
    pub verdict: &'static str,
    pub reason: Option<&'a str>,
    #[serde(skip)]
    pub metric_unit: Unit,
}

/// Every figure of either run.
pub fn rows<'a>(comparison: &Comparison<'a>) -> Vec<ChangeRow<'a>> {
    comparison.rows.iter().map(row).collect()
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
        metric_unit: row.metric.unit,
    }
}

/// The word for what became of a figure, with the reason for which it was lost.
pub fn verdict<'a>(presence: &Presence<'a>) -> (&'static str, Option<&'a str>) {
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
