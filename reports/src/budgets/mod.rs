//! Budgets: what a figure may be at most, or must be at least, written as sentences such as
//! `container startup p95 <= 12x process`.
//!
//! A budget is judged by an interval and not by a value: it is kept if the whole interval is on the
//! right side of the bound, broken if the whole interval is on the wrong side, and else undecided.
//! Ratios come first. A time in milliseconds is another one on another host, and a ratio to the bare
//! process, measured in the same rounds, far less so.

mod amount;
mod choice;
mod measure;
mod outlook;
mod sentence;

use thiserror::Error;

use crate::figures::summary::Summary;
use crate::model::{Better, Run, Unit};
use crate::statistics::Interval;

pub use amount::Amount;
pub use sentence::{Budget, SyntaxError};

use sentence::{Bound, Side};

/// How a budget came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement<'b> {
    /// The budget.
    pub budget: &'b Budget,
    /// Whether the budget is kept.
    pub verdict: Verdict,
    /// What was held against the bound.
    pub measured: Measured,
    /// What it would take to decide, if the budget is undecided.
    pub outlook: Option<Outlook>,
}

/// Whether a budget is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The whole interval is within the budget.
    Kept,
    /// The whole interval is outside.
    Broken,
    /// The interval straddles the bound, or there are too few samples for an interval.
    Undecided,
}

/// What a bound is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// What kind of number it is.
    pub kind: MeasuredKind,
    /// The number.
    pub value: f64,
    /// The number's 95 % interval. That of a ratio of two far quantiles is wider: it reaches from
    /// the least to the most that the intervals of both allow. Absent below six samples.
    pub interval: Option<Interval>,
}

/// The kind of a measured number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeasuredKind {
    /// A value in the unit of the metric's samples.
    Value(Unit),
    /// A ratio to another target of the same run.
    RatioToTarget,
    /// A ratio to the same figure of the base.
    RatioToBase,
}

/// What it would take to decide a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// So many more rounds would make the interval small enough, if the value stayed the same: an
    /// interval's width is taken to shrink with the square root of the rounds. Of a ratio to the base,
    /// both runs need them.
    Rounds(u64),
    /// So many more rounds are needed before there is an interval at all.
    RoundsForInterval(u64),
    /// The value is the bound itself, or as short as the period with which it was polled: no number
    /// of rounds is known to be enough.
    Unknown,
}

/// Why a budget can't be judged on a run.
#[derive(Debug, PartialEq, Error)]
pub enum BudgetError {
    /// The run doesn't have the target.
    #[error(
        "the budget `{budget}` is on a target that isn't in the run: `{target}`; there are {known}"
    )]
    NoTarget {
        /// The budget.
        budget: String,
        /// The target.
        target: String,
        /// The run's targets.
        known: String,
    },
    /// The run doesn't have the figure.
    #[error(
        "the budget `{budget}` is on a figure that isn't in the run: `{figure}`; there are {known}"
    )]
    NoFigure {
        /// The budget.
        budget: String,
        /// The words for the figure.
        figure: String,
        /// The names that would do.
        known: String,
    },
    /// Several figures have the name.
    #[error("the budget `{budget}` names several figures: say which of {known}")]
    Ambiguous {
        /// The budget.
        budget: String,
        /// The figures.
        known: String,
    },
    /// A target has no value for the figure.
    #[error("the budget `{budget}` can't be judged: {target} has no such figure, because {reason}")]
    NotMeasured {
        /// The budget.
        budget: String,
        /// The target.
        target: String,
        /// Why there is no value.
        reason: String,
    },
    /// The figure has no far quantiles.
    #[error(
        "the budget `{budget}` is on a far quantile of `{metric}`: only times of starts and of whole lives have one"
    )]
    NoTail {
        /// The budget.
        budget: String,
        /// The metric.
        metric: String,
    },
    /// The bound is of another unit than the figure.
    #[error("the budget `{budget}` is in another unit than the figure: `{metric}` takes {known}")]
    WrongUnit {
        /// The budget.
        budget: String,
        /// The metric.
        metric: String,
        /// The units of the metric.
        known: &'static str,
    },
    /// The bound is on the side on which a figure is better.
    #[error("the budget `{budget}` bounds the better side: of `{metric}`, {better}; write {sign}")]
    WrongSide {
        /// The budget.
        budget: String,
        /// The metric.
        metric: String,
        /// Which way the metric is better.
        better: &'static str,
        /// The sign that bounds the worse side.
        sign: &'static str,
    },
    /// The budget is relative to a base, and there is none.
    #[error("the budget `{0}` is relative to a base: pass the base's results before the new run's")]
    NoBase(String),
    /// Values at or below zero have no ratio.
    #[error(
        "the budget `{0}` is a ratio, and one of the two figures is not above zero: write a bound with a unit"
    )]
    NoRatio(String),
}

/// Judges each budget on the run `new`; those relative to a base are held against `base`.
///
/// # Errors
/// The first budget that can't be judged, with what to change.
pub fn judge<'b>(
    budgets: &'b [Budget],
    new: &Run,
    base: Option<&Run>,
) -> Result<Vec<Judgement<'b>>, BudgetError> {
    let new = Summary::of(new);
    let base = base.map(Summary::of);
    let judged = budgets.iter();
    judged
        .map(|budget| judge_one(budget, &new, base.as_ref()))
        .collect()
}

fn judge_one<'b>(
    budget: &'b Budget,
    new: &Summary<'_>,
    base: Option<&Summary<'_>>,
) -> Result<Judgement<'b>, BudgetError> {
    let choice = choice::find(budget, new)?;
    let own = choice.estimate(budget, new, &budget.target)?;
    let metric = choice.column.metric;
    check_side(budget, &metric.name, metric.better)?;
    let (limit, measured, needs) = match &budget.bound {
        Bound::Amount(amount) => {
            let limit = amount.in_unit_of(metric.unit);
            let limit = limit.ok_or_else(|| BudgetError::WrongUnit {
                budget: budget.to_string(),
                metric: metric.name.clone(),
                known: amount::units_of(metric.unit),
            })?;
            (limit, measure::value(&own, metric.unit), own.needs)
        }
        Bound::OfTarget { ratio, target } => {
            let other = choice.estimate(budget, new, target)?;
            let measured = measure::ratio_to_target(&own, &other);
            let measured = measured.ok_or_else(|| BudgetError::NoRatio(budget.to_string()))?;
            (*ratio, measured, own.needs.max(other.needs))
        }
        Bound::OfBase { ratio } => {
            let base = base.ok_or_else(|| BudgetError::NoBase(budget.to_string()))?;
            let before = choice::find(budget, base)?;
            let other = before.estimate(budget, base, &budget.target)?;
            let measured = measure::ratio_to_base(&own, &other);
            let measured = measured.ok_or_else(|| BudgetError::NoRatio(budget.to_string()))?;
            (*ratio, measured, own.needs.max(other.needs))
        }
    };
    let verdict = verdict(measured.interval, limit, budget.side);
    let outlook = (verdict == Verdict::Undecided)
        .then(|| outlook::of(measured, limit, budget.side, own.rounds, needs));
    Ok(Judgement {
        budget,
        verdict,
        measured,
        outlook,
    })
}

fn check_side(budget: &Budget, metric: &str, better: Better) -> Result<(), BudgetError> {
    let (side, words, sign) = match better {
        Better::Lower => (Side::AtMost, "less is better", "<="),
        Better::Higher => (Side::AtLeast, "more is better", ">="),
    };
    if budget.side == side {
        return Ok(());
    }
    Err(BudgetError::WrongSide {
        budget: budget.to_string(),
        metric: metric.to_owned(),
        better: words,
        sign,
    })
}

fn verdict(interval: Option<Interval>, limit: f64, side: Side) -> Verdict {
    let Some(Interval { low, high }) = interval else {
        return Verdict::Undecided;
    };
    let (kept, broken) = match side {
        Side::AtMost => (high <= limit, low > limit),
        Side::AtLeast => (low >= limit, high < limit),
    };
    match (kept, broken) {
        (true, _) => Verdict::Kept,
        (_, true) => Verdict::Broken,
        _ => Verdict::Undecided,
    }
}

#[cfg(test)]
mod tests;
