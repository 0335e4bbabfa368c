//! Doubts: what a run's own figures say against the run.
//!
//! Each doubt is worked out from the samples and is not noted while measuring, so older files are
//! judged too. No value is left out of a figure because of a doubt: the report tells the doubt, and
//! the reader decides.

mod impossible;
mod in_words;
mod shape;

use crate::figures::name::FigureName;
use crate::figures::summary::Summary;
use crate::model::Unit;
use crate::statistics::shape::TwoPeaks;

/// A reason to doubt the figures of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Doubt<'a> {
    /// A doubt about the run as a whole.
    Run(RunDoubt<'a>),
    /// A doubt about one figure.
    Figure(FigureName<'a>, FigureDoubt<'a>),
}

/// A reason to doubt a run as a whole.
#[derive(Debug, Clone, PartialEq)]
pub enum RunDoubt<'a> {
    /// A delay was added to a target on purpose.
    Injected {
        /// The name of the target.
        target: &'a str,
        /// The name of the experiment.
        experiment: &'a str,
        /// The delay of each start, in nanoseconds.
        delay: f64,
    },
    /// The wall clock stepped during the run.
    ClockStep {
        /// The size of the step, in nanoseconds.
        step: f64,
    },
    /// Some figures rise or fall over the run.
    Drift {
        /// The number of these figures.
        figures: usize,
        /// The figure that rises or falls most.
        most: FigureName<'a>,
        /// The rank correlation of that figure's samples with time.
        correlation: f64,
    },
    /// Some samples lie outside Tukey's fences.
    Outliers {
        /// The number of samples outside the inner fences.
        all: usize,
        /// The number of samples outside the outer fences.
        far: usize,
        /// The number of good samples of the run.
        samples: usize,
    },
}

/// A reason to doubt a figure.
#[derive(Debug, Clone, PartialEq)]
pub enum FigureDoubt<'a> {
    /// The target is faster than a target that does a part of the same work.
    BelowFloor {
        /// The name of the target that does less.
        floor: &'a str,
        /// The figure over the figure of that target.
        ratio: f64,
    },
    /// Some phases end before they begin: the phases add up to more than the whole, or a phase is
    /// below zero.
    NegativePhase {
        /// The number of samples with such phases.
        samples: usize,
    },
    /// All samples of a time or of a rate are equal.
    AllEqual {
        /// The number of samples.
        samples: usize,
    },
    /// An access past the page cache is faster than the same access of the bare process to the same
    /// file.
    AboveDevice {
        /// The figure over the bare process's figure.
        ratio: f64,
    },
    /// The samples have two peaks, so that the median lies in one peak or between both.
    TwoPeaks {
        /// The unit of the samples.
        unit: Unit,
        /// Where the peaks are.
        peaks: TwoPeaks,
    },
}

impl Doubt<'_> {
    /// Whether the doubt is about the host: its clock, or a drift of several figures. A single
    /// figure that drifts tells nothing of the host.
    pub const fn is_of_host(&self) -> bool {
        match self {
            Self::Run(RunDoubt::ClockStep { .. }) => true,
            Self::Run(RunDoubt::Drift { figures, .. }) => *figures > 1,
            _ => false,
        }
    }

    /// The name of the kind of doubt, for programs.
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

/// Every doubt about a run, the gravest first.
pub fn of<'a>(summary: &Summary<'a>) -> Vec<Doubt<'a>> {
    let mut doubts = impossible::doubts(summary);
    doubts.extend(shape::doubts(summary));
    doubts
}

#[cfg(test)]
mod tests;
