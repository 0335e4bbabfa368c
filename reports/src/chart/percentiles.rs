//! Latencies against percentiles: for each target a curve through the medians of its samples, in a
//! band that holds the middle half of the samples.
//!
//! On the horizontal axis a percentile stands where its odds stand on a logarithmic axis: 50 in the
//! middle, and 1 as far away as 99. So both tails can be read, which a linear axis hides. The
//! longest operation has no odds and stands at the end.

use super::curves::{Across, Curve, Point, draw_curves};
use super::{Chart, ChartError};
use crate::figures::latency::Percentile;
use crate::model::{Run, Unit};
use crate::words::Words;

/// The percentiles that have ticks; all percentiles have points.
const TICKS: [f64; 7] = [1.0, 10.0, 50.0, 90.0, 99.0, 99.9, 100.0];

/// The odds at which the longest operation stands.
const END: f64 = 10_000.0;

/// Draws the latencies of one metric; `found` has the percentiles of each target in the run's
/// order. Nothing if no target has any.
///
/// # Errors
///
/// If the plotting library refuses.
pub fn render(
    run: &Run,
    found: &[Vec<Percentile>],
    words: &Words,
) -> Result<Option<Chart>, ChartError> {
    let targets = run.targets.iter().enumerate().zip(found);
    let curves = targets.filter_map(|(target, found)| {
        let points = found
            .iter()
            // A logarithmic axis has no place for zero.
            .filter(|one| one.lower > 0.0)
            .map(|one| Point {
                across: odds(one.percent),
                lower: one.lower,
                median: one.median,
                upper: one.upper,
            });
        Curve::new(run, target, points.collect())
    });
    let curves: Vec<Curve> = curves.collect();
    let across = Across {
        is: words.text("latency.across"),
        ticks: TICKS.map(odds).into(),
        label,
    };
    draw_curves(Unit::Nanoseconds, &curves, &across)
}

fn odds(percent: f64) -> f64 {
    (percent / (100.0 - percent)).min(END)
}

fn label(odds: f64) -> String {
    if odds >= END {
        return "max".to_owned();
    }
    let percent = 100.0 * odds / (1.0 + odds);
    format!("{}", (percent * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::latency::{percentiles, timed_samples};
    use crate::fixture;
    use crate::model::PERCENTILES;
    use crate::words::Language;

    #[test]
    fn a_percentile_is_called_by_its_name() {
        let called = PERCENTILES.map(|percent| label(odds(percent)));
        let names = [
            "1", "5", "10", "25", "50", "75", "90", "95", "99", "99.5", "99.9", "max",
        ];
        assert_eq!(called, names);
    }

    #[test]
    fn there_is_a_curve_per_target_that_tells_and_none_without() {
        let words = Words::of(Language::English);
        let mut run = fixture::run();
        let drawn = |run: &Run| {
            let told = timed_samples(run, "disk");
            let targets = run.targets.iter();
            let found = targets.map(|target| percentiles(&told, "rand-read-direct", &target.name));
            render(run, &found.collect::<Vec<_>>(), &words).unwrap()
        };
        assert_eq!(drawn(&run), None);
        fixture::add_latencies(&mut run, 1000);
        let chart = drawn(&run).unwrap();
        for drawing in [&chart.wide, &chart.narrow] {
            assert!(
                drawing.contains("process ") && drawing.contains("at 99.9"),
                "{drawing}"
            );
        }
    }
}
