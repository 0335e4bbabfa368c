//! Why the targets of a timed command differ, in words that the screen and the tables share.

use crate::figures::explanation::{Nanoseconds, TargetExplanation};
use crate::model::Unit;
use crate::words::units;

/// The headings of [`texts`].
pub const TITLES: [&str; 6] = [
    "measured",
    "predicted",
    "start",
    "calls",
    "faults",
    "unexplained",
];

/// What stands for a time that there isn't.
const NONE: &str = "–";

/// How much longer a target takes, what is predicted of it, the terms of the prediction, and what
/// is left.
pub fn texts(target: &TargetExplanation<'_>) -> [String; 6] {
    let [start, calls, faults] = target.terms.map(|(_, time)| time);
    [
        Some(Nanoseconds(target.measured.value)),
        target.predicted(),
        start,
        calls,
        faults,
        target.unexplained(),
    ]
    .map(text)
}

fn text(time: Option<Nanoseconds>) -> String {
    let Some(Nanoseconds(time)) = time else {
        return NONE.to_owned();
    };
    let sign = if time > 0.0 { "+" } else { "" };
    format!("{sign}{}", units::value(Unit::Nanoseconds, time))
}
