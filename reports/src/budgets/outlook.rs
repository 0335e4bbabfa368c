//! What it would take to decide a budget.

use super::sentence::Side;
use super::{Measured, Outlook};

/// The most rounds that are told: what takes more won't be run.
const MOST: f64 = 1e9;

/// How many more rounds would decide, where there are `rounds` now and an interval takes `needs` more.
///
/// The interval's end that lies beyond the limit has to come to it. The width of an interval shrinks
/// with the square root of the rounds, so a distance that must be k times as long takes 1 / k² as
/// many rounds.
pub fn of(measured: Measured, limit: f64, side: Side, rounds: u64, needs: u64) -> Outlook {
    let Some(interval) = measured.interval else {
        return match needs {
            0 => Outlook::Unknown,
            more => Outlook::RoundsForInterval(more),
        };
    };
    let is_kept = match side {
        Side::AtMost => measured.value <= limit,
        Side::AtLeast => measured.value >= limit,
    };
    let beyond = match (side, is_kept) {
        (Side::AtMost, true) | (Side::AtLeast, false) => interval.high,
        (Side::AtMost, false) | (Side::AtLeast, true) => interval.low,
    };
    let shrink = (limit - measured.value) / (beyond - measured.value);
    let all = rounds as f64 / (shrink * shrink);
    let more = (all - rounds as f64).ceil().max(1.0);
    if !more.is_finite() || more > MOST {
        return Outlook::Unknown;
    }
    Outlook::Rounds(rounded(more))
}

/// Two digits, rounded up: it is an estimate.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "from 1 to a thousand million"
)]
fn rounded(more: f64) -> u64 {
    let step = 10_f64.powf((more.log10().floor() - 1.0).max(0.0));
    ((more / step).ceil() * step) as u64
}
