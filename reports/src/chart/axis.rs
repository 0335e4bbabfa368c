//! The axis of values: linear from zero, or logarithmic, with round ticks whose labels don't touch.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::{RangedCoordf64, RangedCoordi32};

use crate::model::Unit;

/// An axis with its own ticks: the plotting library's logarithmic axis has none between powers of
/// ten.
#[derive(Clone)]
pub struct Axis {
    range: Range<f64>,
    logarithmic: bool,
    ticks: Vec<f64>,
}

impl Axis {
    /// A linear axis from zero, or from `lowest` if that is below zero, to a little above
    /// `highest`. At most `count` ticks stand at 1, 2 or 5 times a power of ten of `unit`.
    pub fn linear(lowest: f64, highest: f64, unit: f64, count: usize) -> Self {
        let end = if highest > 0.0 { highest * 1.02 } else { unit };
        let start = lowest.min(0.0) * 1.02;
        let length = end - start;
        let fits = |step: &f64| length / step < count as f64;
        let step = round_numbers(length / unit / 1e3)
            .map(|step| step * unit)
            .find(fits)
            .unwrap_or(length);
        Self {
            range: start..end,
            logarithmic: false,
            ticks: multiples(step, start, end),
        }
    }

    /// A logarithmic axis around `ticks`, which are positive and ascend.
    pub fn at(ticks: Vec<f64>) -> Self {
        let (first, last) = (ticks.first(), ticks.last());
        Self {
            range: first.unwrap_or(&1.0) / 1.15..last.unwrap_or(&1.0) * 1.15,
            logarithmic: true,
            ticks,
        }
    }

    /// A logarithmic axis around positive values of `unit`, with at most about `count` ticks. Sizes
    /// have their ticks at powers of two, like their units; other values have ticks at 1, 2 and 5
    /// times powers of ten, or at fewer of these numbers if there is no room.
    pub fn logarithmic(unit: Unit, lowest: f64, highest: f64, count: usize) -> Self {
        if unit == Unit::Bytes {
            Self::binary(lowest, highest, count)
        } else {
            Self::decimal(lowest, highest, count)
        }
    }

    fn decimal(lowest: f64, highest: f64, count: usize) -> Self {
        let (start, end) = (lowest / 1.15, highest * 1.15);
        let all: Vec<f64> = round_numbers(start)
            .take_while(|tick| *tick <= end)
            .filter(|tick| *tick >= start)
            .collect();
        let decades = (end / start).log10();
        // With more ticks in a decade, labels would touch.
        let per_decade = count as f64 / decades.max(0.3);
        let all = if per_decade >= 8.0 {
            dense(&all, start, end)
        } else {
            all
        };
        let keep = |tick: &f64| {
            let leading = (tick / 10_f64.powf(tick.log10().floor() + 1e-9)).round();
            per_decade >= 3.0 || (leading - 1.0).abs() < 0.1 || (leading - 10.0).abs() < 0.1
        };
        let ticks = all.into_iter().filter(keep).collect();
        Self {
            range: start..end,
            logarithmic: true,
            ticks,
        }
    }

    fn binary(lowest: f64, highest: f64, count: usize) -> Self {
        let (start, end) = (lowest / 1.15, highest * 1.15);
        let doublings = || std::iter::successors(Some(1.0), |tick| Some(tick * 2.0));
        let within: Vec<f64> = doublings()
            .skip_while(|tick| *tick < start)
            .take_while(|tick| *tick <= end)
            .collect();
        let step = within.len().div_ceil(count.max(1)).max(1);
        Self {
            range: start..end,
            logarithmic: true,
            ticks: within.into_iter().step_by(step).collect(),
        }
    }

    fn place(&self, value: f64) -> f64 {
        if self.logarithmic {
            value.max(f64::MIN_POSITIVE).log10()
        } else {
            value
        }
    }

    /// The distance between two ticks if the whole axis has `pixels`; only on a linear axis all
    /// distances are equal.
    pub fn spacing(&self, pixels: f64) -> f64 {
        match self.ticks.as_slice() {
            [first, second, ..] => (second - first) / (self.range.end - self.range.start) * pixels,
            _ => pixels,
        }
    }

    /// The length of the longest text that `write` makes of a tick, in characters.
    pub fn longest_label(&self, write: impl Fn(&f64) -> String) -> usize {
        self.ticks
            .iter()
            .map(|tick| write(tick).chars().count())
            .max()
            .unwrap_or_default()
    }

    /// The value in the middle between two values, as the axis shows them.
    pub fn middle(&self, values: Range<f64>) -> f64 {
        if self.logarithmic {
            (values.start * values.end).sqrt()
        } else {
            f64::midpoint(values.start, values.end)
        }
    }

    /// The value at which the axis begins.
    pub fn start(&self) -> f64 {
        self.range.start
    }

    /// The value at which the axis ends.
    pub fn end(&self) -> f64 {
        self.range.end
    }
}

/// Round numbers with 1.5, 3 and 7 times powers of ten between them, for an axis of a decade or
/// less.
fn dense(round: &[f64], start: f64, end: f64) -> Vec<f64> {
    let power = 10_f64.powf(start.log10().floor());
    let between = [1.5, 3.0, 7.0, 15.0, 30.0, 70.0].map(|leading| leading * power);
    let mut all: Vec<f64> = between
        .into_iter()
        .filter(|tick| (start..=end).contains(tick))
        .collect();
    all.extend(round);
    all.sort_by(f64::total_cmp);
    all
}

/// 1, 2 and 5 times the powers of ten, ascending from below `start`.
fn round_numbers(start: f64) -> impl Iterator<Item = f64> {
    let first = start.log10().floor();
    (0_u32..60).flat_map(move |power| {
        [1.0, 2.0, 5.0].map(|leading| leading * 10_f64.powf(first + f64::from(power)))
    })
}

fn multiples(step: f64, start: f64, end: f64) -> Vec<f64> {
    let first = (start / step).ceil();
    (0_u32..100)
        // This makes a negative zero positive.
        .map(|index| (first + f64::from(index)) * step + 0.0)
        .take_while(|tick| *tick <= end)
        .collect()
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.place(self.range.start)..self.place(self.range.end))
            .map(&self.place(*value), limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

/// The vertical axis of a chart of rows: pixels from the top, without ticks.
#[derive(Clone)]
pub struct Rows {
    /// The height of all rows, in pixels.
    pub height: i32,
}

impl Ranged for Rows {
    type FormatOption = DefaultFormatting;
    type ValueType = i32;

    fn map(&self, value: &i32, limit: (i32, i32)) -> i32 {
        RangedCoordi32::from(self.height..0).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<i32> {
        Vec::new()
    }

    fn range(&self) -> Range<i32> {
        self.height..0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_their_ticks_at_powers_of_two() {
        const KIB: f64 = 1024.0;
        let axis = Axis::logarithmic(Unit::Bytes, 200.0 * KIB, 17_000.0 * KIB, 4);
        assert_eq!(
            axis.ticks,
            [256.0, 1024.0, 4096.0, 16384.0].map(|size| size * KIB)
        );
        let narrow = Axis::logarithmic(Unit::Bytes, 5.0, 5.1, 4);
        assert!(narrow.ticks.is_empty() && narrow.start() < 5.0);
    }

    #[test]
    fn linear_ticks_are_round_and_few() {
        assert_eq!(
            Axis::linear(0.0, 2.4e6, 1e6, 8).ticks,
            [0.0, 5e5, 1e6, 1.5e6, 2e6]
        );
        assert_eq!(Axis::linear(1.0, 2.4e6, 1e6, 4).ticks, [0.0, 1e6, 2e6]);
        assert_eq!(
            Axis::linear(0.0, 3_000.0, 1024.0, 4).ticks,
            [0.0, 1024.0, 2048.0]
        );
        assert_eq!(Axis::linear(0.0, 0.0, 1.0, 4).ticks, [0.0, 0.5, 1.0]);
        assert_eq!(Axis::linear(-3e5, 1.1e6, 1e6, 5).ticks, [0.0, 5e5, 1e6]);
    }

    #[test]
    fn logarithmic_ticks_thin_out() {
        let close = |axis: Axis, expected: &[f64]| {
            assert_eq!(axis.ticks.len(), expected.len(), "{:?}", axis.ticks);
            assert!(
                axis.ticks
                    .iter()
                    .zip(expected)
                    .all(|(tick, value)| (tick / value - 1.0).abs() < 1e-9)
            );
        };
        let of_times =
            |lowest, highest, count| Axis::logarithmic(Unit::Nanoseconds, lowest, highest, count);
        close(of_times(6e5, 3e6, 8), &[7e5, 1e6, 1.5e6, 2e6, 3e6]);
        close(
            of_times(6e5, 3e8, 12),
            &[1e6, 2e6, 5e6, 1e7, 2e7, 5e7, 1e8, 2e8],
        );
        close(of_times(6e5, 3e8, 5), &[1e6, 1e7, 1e8]);
    }
}
