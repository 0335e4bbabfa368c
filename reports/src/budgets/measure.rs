//! What a bound is held against: a value, or a ratio of two figures.

use super::choice::Estimate;
use super::sentence::Statistic;
use super::{Measured, MeasuredKind};
use crate::model::Unit;
use crate::statistics::{Interval, Series};

/// The figure itself.
pub fn value(own: &Estimate<'_>, unit: Unit) -> Measured {
    Measured {
        kind: MeasuredKind::Value(unit),
        value: own.value,
        interval: own.interval,
    }
}

/// The figure over that of another target of the same run. Nothing unless both are positive.
pub fn ratio_to_target(own: &Estimate<'_>, other: &Estimate<'_>) -> Option<Measured> {
    ratio(
        own,
        other,
        MeasuredKind::RatioToTarget,
        |own, other, period| {
            if period > 0.0 {
                own.ratio_interval_late_by(other, period)
            } else {
                own.ratio_interval(other)
            }
        },
    )
}

/// The figure over that of another run. Nothing unless both are positive.
pub fn ratio_to_base(own: &Estimate<'_>, other: &Estimate<'_>) -> Option<Measured> {
    ratio(
        own,
        other,
        MeasuredKind::RatioToBase,
        |own, other, period| {
            if period > 0.0 {
                own.ratio_interval_to_run_late_by(other, period)
            } else {
                own.ratio_interval_to_run(other)
            }
        },
    )
}

fn ratio(
    own: &Estimate<'_>,
    other: &Estimate<'_>,
    kind: MeasuredKind,
    of_medians: impl Fn(&Series, &Series, f64) -> Option<Interval>,
) -> Option<Measured> {
    let both = own.interval.zip(other.interval);
    let interval = both.and_then(|(numerator, denominator)| match own.statistic {
        Statistic::Median => of_medians(own.series, other.series, own.period.max(other.period)),
        Statistic::P95 | Statistic::P99 => extremes(numerator, denominator),
    });
    (own.value > 0.0 && other.value > 0.0).then(|| Measured {
        kind,
        value: own.value / other.value,
        interval,
    })
}

/// From the least to the most that a quotient can be if both intervals hold.
fn extremes(numerator: Interval, denominator: Interval) -> Option<Interval> {
    (numerator.low > 0.0 && denominator.low > 0.0).then(|| Interval {
        low: numerator.low / denominator.high,
        high: numerator.high / denominator.low,
    })
}
