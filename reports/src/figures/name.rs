//! The name of a figure: its target, its experiment and its metric.

use std::fmt;

use crate::model::Sample;

/// The name of a figure, written as `container, startup ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FigureName<'a> {
    /// The name of the target.
    pub target: &'a str,
    /// The name of the experiment.
    pub experiment: &'a str,
    /// The name of the metric.
    pub metric: &'a str,
}

impl<'a> FigureName<'a> {
    /// The name of the figure that a sample is of.
    pub fn of(sample: &'a Sample) -> Self {
        Self {
            target: &sample.target,
            experiment: &sample.experiment,
            metric: &sample.metric,
        }
    }
}

impl fmt::Display for FigureName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} {}", self.target, self.experiment, self.metric)
    }
}
