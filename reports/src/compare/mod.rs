//! Two runs beside each other: what changed from one to the other, and whether chance explains it.
//!
//! Two runs share no rounds, so no values are paired: the interval of a ratio draws each run by
//! itself, and the permutation test mixes the values of both. Two runs may also differ for a reason
//! that neither shows within itself, such as another placement in memory or another load on the
//! same machine. No statistic of two runs can see such a reason; the threshold allows for it.

mod hosts;

use std::collections::HashMap;

use crate::figures::name::FigureName;
use crate::figures::summary::{Cell, CellContent, Figure, SIGNIFICANCE, Summary, is_large};
use crate::model::{Better, Metric, Run};
use crate::statistics::{Interval, permutation};

pub use hosts::{Obstacle, obstacles};

/// Two runs, figure by figure.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// The run that the new run is compared with.
    pub base: &'a Run,
    /// The new run.
    pub new: &'a Run,
    /// The smallest change that matters, as a part of the base.
    pub threshold: f64,
    /// Why the two runs can't be compared; empty if they can.
    pub obstacles: Vec<Obstacle>,
    /// One row per figure of either run, in the order of the base.
    pub rows: Vec<Row<'a>>,
}

/// One figure in two runs.
#[derive(Debug)]
pub struct Row<'a> {
    /// Name of the target.
    pub target: &'a str,
    /// Name of the experiment.
    pub experiment: &'a str,
    /// The metric.
    pub metric: &'a Metric,
    /// Which of the two runs have the figure.
    pub presence: Presence<'a>,
}

/// Which of two runs have a figure.
#[derive(Debug)]
pub enum Presence<'a> {
    /// Both runs have the figure.
    InBoth(Pair),
    /// The base has the figure. The new run tried to measure the same and failed, for this reason.
    Lost(&'a str),
    /// The base has the figure, and the new run didn't try.
    OnlyInBase,
    /// The new run has the figure, and the base has not.
    OnlyInNew,
}

/// A figure that both runs have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The median of the base.
    pub base: f64,
    /// The median of the new run.
    pub new: f64,
    /// The new median over the base's; absent unless both are positive.
    pub ratio: Option<f64>,
    /// The period with which the times of either run were polled, in the metric's unit; 0 if
    /// nothing was polled.
    pub period: f64,
    /// The 95 % interval of the ratio; absent if the base may be as short as the period.
    pub interval: Option<Interval>,
    /// How often chance alone shows a change as large, corrected for all figures compared.
    pub p: f64,
    /// What follows from the ratio and the test.
    pub change: Change,
}

/// How a figure changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The figure got better by more than the threshold.
    Better,
    /// The figure got worse by more than the threshold.
    Worse,
    /// The figure did not change, or by less than the threshold.
    NoDifference,
    /// The samples leave open whether there is a change above the threshold.
    Unclear,
}

impl<'a> Comparison<'a> {
    /// Compares `new` with `base`; `threshold` is the smallest change that matters, as a part of
    /// the base.
    pub fn of(base: &'a Run, new: &'a Run, threshold: f64) -> Self {
        let (before, after) = (Summary::of(base), Summary::of(new));
        let mut rows = rows(&before, &after);
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
        self.rows.iter().any(|row| match &row.presence {
            Presence::InBoth(pair) => pair.change == Change::Worse,
            Presence::Lost(_) => true,
            Presence::OnlyInBase | Presence::OnlyInNew => false,
        })
    }

    /// The number of figures that changed in this way.
    pub fn count(&self, change: Change) -> usize {
        let pairs = self.rows.iter().filter_map(Row::pair);
        pairs.filter(|pair| pair.change == change).count()
    }
}

impl Row<'_> {
    /// The figure in both runs, if both have it.
    pub fn pair(&self) -> Option<&Pair> {
        match &self.presence {
            Presence::InBoth(pair) => Some(pair),
            _ => None,
        }
    }

    fn pair_mut(&mut self) -> Option<&mut Pair> {
        match &mut self.presence {
            Presence::InBoth(pair) => Some(pair),
            _ => None,
        }
    }
}

/// A cell with its name and its metric.
type Named<'s, 'a> = (FigureName<'a>, &'a Metric, &'s Cell<'a>);

fn cells<'s, 'a>(summary: &'s Summary<'a>) -> impl Iterator<Item = Named<'s, 'a>> {
    summary.sections.iter().flat_map(|section| {
        section.columns.iter().flat_map(move |column| {
            column.cells.iter().map(move |cell| {
                let name = FigureName {
                    target: &cell.target.name,
                    experiment: &section.experiment.name,
                    metric: &column.metric.name,
                };
                (name, column.metric, cell)
            })
        })
    })
}

/// Every figure of either run: those of the base, and then those that the new run alone has.
fn rows<'a>(before: &Summary<'a>, after: &Summary<'a>) -> Vec<Row<'a>> {
    let later = cells(after).map(|(name, metric, cell)| (name, (metric, cell)));
    let mut later: HashMap<_, _> = later.collect();
    let mut rows = Vec::new();
    for (name, metric, cell) in cells(before) {
        let presence = presence((metric, cell), later.remove(&name));
        rows.extend(presence.map(|presence| row(name, metric, presence)));
    }
    // The new run's own order: a map has none.
    for (name, metric, cell) in cells(after) {
        if later.contains_key(&name) && cell.figure().is_some() {
            rows.push(row(name, metric, Presence::OnlyInNew));
        }
    }
    rows
}

fn row<'a>(name: FigureName<'a>, metric: &'a Metric, presence: Presence<'a>) -> Row<'a> {
    Row {
        target: name.target,
        experiment: name.experiment,
        metric,
        presence,
    }
}

/// Which of two cells have a figure; nothing if neither has.
fn presence<'a>(
    (old_metric, before): (&Metric, &Cell<'a>),
    after: Option<(&Metric, &Cell<'a>)>,
) -> Option<Presence<'a>> {
    let old = before.figure();
    let Some((new_metric, after)) = after else {
        return old.map(|_| Presence::OnlyInBase);
    };
    let periods = [old_metric, new_metric].map(|metric| metric.resolution.unwrap_or_default());
    let period = periods[0].max(periods[1]);
    match (old, after.figure()) {
        (Some(old), Some(new)) => Some(Presence::InBoth(pair(old, new, period))),
        (None, Some(_)) => Some(Presence::OnlyInNew),
        (None, None) => None,
        (Some(_), None) => Some(match &after.content {
            CellContent::Unavailable(reason) => Presence::Lost(reason),
            CellContent::Failed => {
                let first = after.failures.first();
                Presence::Lost(first.map_or("every sample failed", |failure| failure.reason))
            }
            CellContent::NotTaken | CellContent::Figure(_) => Presence::OnlyInBase,
        }),
    }
}

/// Both figures, still without a judgement.
fn pair(old: &Figure<'_>, new: &Figure<'_>, period: f64) -> Pair {
    let interval = if period > 0.0 {
        new.series
            .ratio_interval_to_run_late_by(&old.series, period)
    } else {
        new.series.ratio_interval_to_run(&old.series)
    };
    Pair {
        base: old.median,
        new: new.median,
        ratio: new.series.ratio(&old.series),
        period,
        interval,
        p: new.series.evidence_to_run(&old.series).p,
        change: Change::Unclear,
    }
}

/// Corrects the p-values of all rows for each other, and says of each how it changed.
fn judge(rows: &mut [Row<'_>], threshold: f64) {
    let p_values: Vec<f64> = rows
        .iter()
        .filter_map(Row::pair)
        .map(|pair| pair.p)
        .collect();
    let mut corrected = permutation::holm(&p_values).into_iter();
    for row in rows {
        let better = row.metric.better;
        if let Some(pair) = row.pair_mut() {
            pair.p = corrected.next().unwrap_or(1.0);
            pair.change = change(pair, better, threshold);
        }
    }
}

fn change(pair: &Pair, better: Better, threshold: f64) -> Change {
    let Some(ratio) = pair.ratio else {
        // Sizes at or below zero have no ratio; two that are equal have still not changed.
        let equal = pair.base.total_cmp(&pair.new).is_eq();
        return if equal {
            Change::NoDifference
        } else {
            Change::Unclear
        };
    };
    // A change below the period is none.
    let matters = is_large(ratio, threshold) && (pair.new - pair.base).abs() >= pair.period;
    match (matters, pair.p < SIGNIFICANCE) {
        (true, true) if (ratio > 1.0) == (better == Better::Higher) => Change::Better,
        (true, true) => Change::Worse,
        (true, false) => Change::Unclear,
        (false, true) => Change::NoDifference,
        // An interval that reaches beyond the threshold on both sides leaves the direction open.
        (false, false) => match pair.interval {
            Some(Interval { low, high })
                if low < 1.0 / (1.0 + threshold) && high > 1.0 + threshold =>
            {
                Change::Unclear
            }
            Some(_) => Change::NoDifference,
            None => Change::Unclear,
        },
    }
}

#[cfg(test)]
mod tests;
