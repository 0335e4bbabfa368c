//! Guards: what a run's own figures say against it.
//!
//! Each is worked out from the samples, not noted while measuring, so that older files are judged too. Nothing is taken
//! out of a figure for it: a doubt is told, and the reader decides.

mod impossible;
mod in_words;
mod shape;

use crate::figures::name::FigureName;
use crate::figures::summary::Summary;
use crate::model::Unit;
use crate::statistics::shape::TwoPeaks;

/// Something that a run's figures should not be believed without.
#[derive(Debug, Clone, PartialEq)]
pub enum Doubt<'a> {
    /// About the run as a whole.
    Run(RunDoubt<'a>),
    /// About one figure.
    Figure(FigureName<'a>, FigureDoubt<'a>),
}

/// What can be said against a run as a whole.
#[derive(Debug, Clone, PartialEq)]
pub enum RunDoubt<'a> {
    /// A delay was added to a target on purpose.
    Injected {
        /// The target.
        target: &'a str,
        /// The experiment.
        experiment: &'a str,
        /// The delay in nanoseconds.
        delay: f64,
    },
    /// The wall clock stepped while measuring.
    ClockStep {
        /// By how much, in nanoseconds.
        step: f64,
    },
    /// Figures that rise or fall over the run.
    Drift {
        /// Number of figures that do.
        figures: usize,
        /// The one that does most.
        most: FigureName<'a>,
        /// Its rank correlation with time.
        correlation: f64,
    },
    /// Samples outside Tukey's fences.
    Outliers {
        /// All of them.
        all: usize,
        /// Those outside the outer fences.
        far: usize,
        /// Number of good samples of the run.
        samples: usize,
    },
}

/// What can be said against a figure.
#[derive(Debug, Clone, PartialEq)]
pub enum FigureDoubt<'a> {
    /// It is faster than a target that does a part of the same.
    BelowFloor {
        /// The target that does less.
        floor: &'a str,
        /// The figure over that of the floor.
        ratio: f64,
    },
    /// Phases that end before they begin: they add up to more than the whole, or one is below zero.
    NegativePhase {
        /// Number of samples.
        samples: usize,
    },
    /// All samples of a time or rate are the same.
    AllEqual {
        /// Number of samples.
        samples: usize,
    },
    /// Past the page cache, it is faster than the bare process on the same file.
    AboveDevice {
        /// The figure over that of the bare process.
        ratio: f64,
    },
    /// Two peaks, so that the median is in one of them or in between.
    TwoPeaks {
        /// The unit of the peaks.
        unit: Unit,
        /// The peaks.
        peaks: TwoPeaks,
    },
}

impl Doubt<'_> {
    /// Whether the doubt is about the host: its clock, or a drift of several figures. A single figure
    /// that drifts is no sign of a change of the host.
    pub const fn is_of_host(&self) -> bool {
        match self {
            Self::Run(RunDoubt::ClockStep { .. }) => true,
            Self::Run(RunDoubt::Drift { figures, .. }) => *figures > 1,
            _ => false,
        }
    }

    /// Stable name of its kind, for programs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Run(RunDoubt::Injected { .. }) => "injected",
            Self::Run(RunDoubt::ClockStep { .. }) => "clock-step",
            Self::Run(RunDoubt::Drift { .. }) => "drift",
            Self::Run(RunDoubt::Outliers { .. }) => "outliers",
            Self::Figure(_, FigureDoubt::BelowFloor { .. }) => "below-floor",
            Self::Figure(_, FigureDoubt::NegativePhase { .. }) => "negative-phase",
            Self::Figure(_, FigureDoubt::AllEqual { .. }) => "all-equal",
            Self::Figure(_, FigureDoubt::AboveDevice { .. }) => "above-device",
            Self::Figure(_, FigureDoubt::TwoPeaks { .. }) => "two-peaks",
        }
    }
}

/// Everything that can be said against a run, the gravest first.
pub fn of<'a>(summary: &Summary<'a>) -> Vec<Doubt<'a>> {
    let mut doubts = impossible::doubts(summary);
    doubts.extend(shape::doubts(summary));
    doubts
}

#[cfg(test)]
mod tests;
