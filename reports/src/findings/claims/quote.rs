//! A figure as a card tells it: in words, and as what a plot of the card takes from it.

use crate::figures::summary::Figure;
use crate::model::Unit;
use crate::statistics::Estimate;

/// A figure that bears on a sentence.
#[derive(Debug, Clone, PartialEq)]
pub struct Quote {
    /// The figure in words, with its interval.
    pub text: String,
    /// What is measured, where the figures of a card differ in that; else empty.
    pub metric: String,
    /// The target that it is of.
    pub target: String,
    /// What it is counted in.
    pub measure: Measure,
    /// The figure.
    pub estimate: Estimate,
}

impl Quote {
    /// `figure` in the words of `text`.
    pub fn of(text: String, unit: Unit, target: &str, figure: &Figure<'_>) -> Self {
        Self {
            text,
            metric: String::new(),
            target: target.to_owned(),
            measure: Measure::In(unit),
            estimate: Estimate {
                value: figure.median,
                interval: figure.interval,
            },
        }
    }
}

/// What a quoted figure is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// A unit of the run's.
    In(Unit),
    /// How often another figure fits into it.
    Ratio,
}
