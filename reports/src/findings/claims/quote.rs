//! A figure as a card quotes it: in words, and as a plot of the card shows it.

use crate::figures::summary::Figure;
use crate::model::Unit;
use crate::statistics::Estimate;

/// A figure that a card quotes.
#[derive(Debug, Clone, PartialEq)]
pub struct Quote {
    /// The figure in words, with its interval.
    pub text: String,
    /// What is measured, if the figures of the card differ in that; else empty.
    pub metric: String,
    /// The name of the target.
    pub target: String,
    /// The unit of the figure.
    pub measure: Measure,
    /// The figure and its interval.
    pub estimate: Estimate,
}

impl Quote {
    /// Quotes `figure` in the words of `text`.
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

/// The unit of a quoted figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// A unit of the run's metrics.
    In(Unit),
    /// A ratio of two figures.
    Ratio,
}
