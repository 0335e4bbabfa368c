//! Whether a ratio is a difference, and in whose favour.
//!
//! A run has many ratios, and of twenty tests at 5 % one on average finds a difference by chance
//! alone. So all p-values of a run are corrected for each other by Holm's method: the chance that
//! the whole report has a single false difference stays at 5 %. A ratio that is too close to 1 to
//! matter is no difference however sure it is, since with enough samples everything differs by
//! something.

use super::{Cell, CellContent, Ratio, Section};
use crate::model::{Better, Unit};
use crate::statistics::{Evidence, permutation};

/// The largest corrected p-value of a difference.
pub const SIGNIFICANCE: f64 = 0.05;

/// The smallest difference, as a part of the baseline. Times have to differ by more where the bare
/// process differs from itself by more.
pub const MINIMUM_EFFECT: f64 = 0.02;

/// What a test of one ratio says among the tests of its run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    /// How often chance alone shows a difference as large.
    pub p: f64,
    /// `p`, corrected for the other tests of the run.
    pub corrected: f64,
    /// What follows from the ratio and the corrected p-value.
    pub difference: Difference,
    /// The smallest value that `p` could have had with as many samples.
    least: f64,
}

/// How a figure differs from the baseline's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// The figure is better, in its metric's sense.
    Better,
    /// The figure is worse, in its metric's sense.
    Worse,
    /// Chance explains the difference, or the difference is below the minimum.
    NoDifference,
    /// There are so few samples that no difference, however large, could be told from chance among
    /// the tests of the run.
    TooFewSamples,
}

impl Difference {
    /// The word beside a ratio, for people.
    pub const fn word(self, unit: Unit, better: Better) -> &'static str {
        match (self, unit, better) {
            (Self::NoDifference, ..) => "no difference",
            (Self::TooFewSamples, ..) => "too few samples",
            (Self::Worse, Unit::Bytes, Better::Lower) => "more",
            (Self::Better, Unit::Bytes, Better::Lower) => "less",
            (Self::Worse, Unit::Nanoseconds, _) | (Self::Worse, _, Better::Higher) => "slower",
            (Self::Better, Unit::Nanoseconds, _) | (Self::Better, _, Better::Higher) => "faster",
            (Self::Worse, ..) => "worse",
            (Self::Better, ..) => "better",
        }
    }

    /// The name for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::NoDifference => "no-difference",
            Self::TooFewSamples => "too-few-samples",
        }
    }

    /// The direction in which `ratio` differs from 1.
    fn of_ratio(ratio: f64, better: Better) -> Self {
        if (ratio > 1.0) == (better == Better::Higher) {
            Self::Better
        } else {
            Self::Worse
        }
    }
}

impl Test {
    /// A test by itself, before it is corrected for others and judged.
    pub(super) fn of(evidence: Evidence) -> Self {
        Self {
            p: evidence.p,
            corrected: evidence.p,
            difference: Difference::NoDifference,
            least: evidence.least,
        }
    }
}

/// Whether `ratio` is above 1 + `minimum`, or as far below 1.
pub fn is_large(ratio: f64, minimum: f64) -> bool {
    ratio.max(1.0 / ratio) >= 1.0 + minimum
}

/// Corrects the tests of a run for each other, and says of each ratio whether it is a difference. A
/// difference of times is at least `noise_floor`, as a part of the baseline, and at least the period
/// with which the times were polled.
pub(super) fn judge(sections: &mut [Section<'_>], noise_floor: f64) {
    let p_values: Vec<f64> = sections
        .iter()
        .flat_map(|section| &section.columns)
        .flat_map(|column| column.cells.iter().filter_map(ratio))
        .map(|ratio| ratio.test.p)
        .collect();
    let tests = p_values.len() as f64;
    let mut corrected = permutation::holm(&p_values).into_iter();
    for column in sections.iter_mut().flat_map(|section| &mut section.columns) {
        let better = column.metric.better;
        let minimum = match column.metric.unit {
            Unit::Nanoseconds => MINIMUM_EFFECT.max(noise_floor),
            _ => MINIMUM_EFFECT,
        };
        let resolution = column.metric.resolution.unwrap_or_default();
        for (median, ratio) in column.cells.iter_mut().filter_map(ratio_mut) {
            let Some(corrected) = corrected.next() else {
                return;
            };
            let is_resolved = (median - median / ratio.value).abs() >= resolution;
            let is_large = is_resolved && is_large(ratio.value, minimum);
            let test = &mut ratio.test;
            test.corrected = corrected;
            test.difference = if corrected < SIGNIFICANCE && is_large {
                Difference::of_ratio(ratio.value, better)
            } else if corrected >= SIGNIFICANCE && test.least * tests >= SIGNIFICANCE {
                Difference::TooFewSamples
            } else {
                Difference::NoDifference
            };
        }
    }
}

fn ratio(cell: &Cell<'_>) -> Option<Ratio> {
    cell.figure()?.ratio
}

/// The median of a cell and its ratio.
fn ratio_mut<'c>(cell: &'c mut Cell<'_>) -> Option<(f64, &'c mut Ratio)> {
    match &mut cell.content {
        CellContent::Figure(figure) => Some((figure.median, figure.ratio.as_mut()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;
    use crate::figures::summary::Summary;
    use crate::fixture;
    use crate::model::{Run, Sample};

    fn differences(run: &Run, target: &str) -> Vec<Difference> {
        Summary::of(run)
            .sections
            .iter()
            .flat_map(|section| &section.columns)
            .filter_map(|column| column.figure_of(target)?.ratio)
            .map(|ratio| ratio.test.difference)
            .collect()
    }

    /// A run of `process` and of its twin, whose samples `draw` gives.
    fn twins(rounds: u32, mut draw: impl FnMut(&str, &str) -> f64) -> Run {
        let mut run = fixture::run();
        run.targets.truncate(2);
        run.targets[1].name = "twin".to_owned();
        run.targets[1].unavailable = None;
        run.samples.clear();
        let metrics: Vec<_> = run
            .experiments
            .iter()
            .flat_map(|experiment| {
                experiment
                    .metrics
                    .iter()
                    .map(move |metric| (experiment, metric))
            })
            .collect();
        for round in 1..=rounds {
            for (experiment, metric) in &metrics {
                for target in ["process", "twin"] {
                    run.samples.push(Sample {
                        target: target.to_owned(),
                        experiment: experiment.name.clone(),
                        metric: metric.name.clone(),
                        part: crate::model::TOTAL.to_owned(),
                        unit: metric.unit,
                        round,
                        sequence: run.samples.len() as u64,
                        value: Some(draw(target, &metric.name)),
                        status: crate::model::Status::Ok,
                        reason: None,
                        latencies: None,
                    });
                }
            }
        }
        run
    }

    /// A value of a skewed distribution for one metric, of a distribution with two peaks for the
    /// next.
    fn start(rng: &mut ChaCha8Rng, metric: &str) -> f64 {
        let noise = rng.random_range(0.0..1.0_f64) + rng.random_range(0.0..1.0);
        let slow = metric.len().is_multiple_of(2) && rng.random_range(0..10) < 4;
        1e6 * noise.exp() * if slow { 3.0 } else { 1.0 }
    }

    #[test]
    fn a_target_beside_itself_shows_no_difference_in_any_figure_of_95_runs_in_100() {
        let mut rng = ChaCha8Rng::seed_from_u64(21);
        let clean = (0..200).filter(|_| {
            let run = twins(15, |_, metric| start(&mut rng, metric));
            let differences = differences(&run, "twin");
            assert_eq!(differences.len(), 8);
            differences
                .iter()
                .all(|difference| *difference == Difference::NoDifference)
        });
        let clean = clean.count();
        assert!(clean >= 190, "{clean} of 200");
    }

    #[test]
    fn a_difference_is_found_named_and_directed() {
        let mut rng = ChaCha8Rng::seed_from_u64(22);
        let run = twins(15, |target, metric| {
            let double = if target == "twin" { 20.0 } else { 1.0 };
            start(&mut rng, metric) * double
        });
        let summary = Summary::of(&run);
        for column in summary.sections.iter().flat_map(|section| &section.columns) {
            let found = column.figure_of("twin").unwrap().ratio.unwrap().test;
            let expected = match column.metric.better {
                Better::Lower => Difference::Worse,
                Better::Higher => Difference::Better,
            };
            assert_eq!(found.difference, expected);
            assert!(found.corrected >= found.p && found.corrected < SIGNIFICANCE);
            let word = found
                .difference
                .word(column.metric.unit, column.metric.better);
            assert!(["slower", "more", "faster"].contains(&word), "{word}");
        }
    }

    #[test]
    fn what_is_sure_but_tiny_is_no_difference_and_few_samples_say_so() {
        let tiny = twins(
            30,
            |target, _| if target == "twin" { 1010.0 } else { 1000.0 },
        );
        assert_eq!(differences(&tiny, "twin"), [Difference::NoDifference; 8]);
        let few = twins(
            3,
            |target, _| if target == "twin" { 4000.0 } else { 1000.0 },
        );
        assert_eq!(differences(&few, "twin"), [Difference::TooFewSamples; 8]);
    }
}
