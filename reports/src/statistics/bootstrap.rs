//! The percentile bootstrap over rounds: draw as many rounds as there are, with replacement, many times over, and keep
//! the middle 95 % of what comes out.
//!
//! What is drawn is a whole *round*. Targets of one round ran within moments of each other, so drift of the host hits
//! both sides of a ratio alike, and drawing rounds keeps that pairing. The generator has a fixed seed: the same
//! results file gives the same report. The bias-corrected variant (`BCa`) is left alone on purpose: its acceleration term
//! is a jackknife, which is inconsistent for the median (Efron and Tibshirani, *An Introduction to the Bootstrap*,
//! sections 10.6 and 11.7).

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::Interval;

/// Draws behind every interval; its ends then move by a small part of its width from seed to seed.
pub const RESAMPLES: usize = 2000;

/// Seed of every draw.
pub const SEED: u64 = 0x69_73_6f_62_65_6e_63_68;

/// The interval of the median of values that come in rounds.
pub fn median(units: &[&[f64]]) -> Option<Interval> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut drawn = Vec::new();
    let medians = (0..RESAMPLES).filter_map(|_| {
        draw(&mut rng, units, &mut drawn);
        super::median(&mut drawn)
    });
    Interval::of_draws(medians.collect())
}

/// The interval of what `compare` makes of two medians, both from the same drawn rounds.
pub fn paired(
    rounds: &[(&[f64], &[f64])],
    compare: impl Fn(f64, f64) -> Option<f64>,
) -> Option<Interval> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let (mut own, mut base) = (Vec::new(), Vec::new());
    let draws = (0..RESAMPLES).filter_map(|_| {
        own.clear();
        base.clear();
        for _ in 0..rounds.len() {
            let (left, right) = rounds[rng.random_range(0..rounds.len())];
            own.extend_from_slice(left);
            base.extend_from_slice(right);
        }
        compare(super::median(&mut own)?, super::median(&mut base)?)
    });
    finite(draws.collect())
}

/// The interval of what `compare` makes of two medians, each from draws of its own.
pub fn apart(
    own: &[&[f64]],
    base: &[&[f64]],
    compare: impl Fn(f64, f64) -> Option<f64>,
) -> Option<Interval> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let (mut upper, mut lower) = (Vec::new(), Vec::new());
    let draws = (0..RESAMPLES).filter_map(|_| {
        draw(&mut rng, own, &mut upper);
        draw(&mut rng, base, &mut lower);
        compare(super::median(&mut upper)?, super::median(&mut lower)?)
    });
    finite(draws.collect())
}

/// `value` over `baseline`; nothing unless both are positive.
pub fn quotient(value: f64, baseline: f64) -> Option<f64> {
    (value > 0.0 && baseline > 0.0).then(|| value / baseline)
}

fn draw(rng: &mut ChaCha8Rng, units: &[&[f64]], drawn: &mut Vec<f64>) {
    drawn.clear();
    for _ in 0..units.len() {
        drawn.extend_from_slice(units[rng.random_range(0..units.len())]);
    }
}

fn finite(draws: Vec<f64>) -> Option<Interval> {
    Interval::of_draws(draws)
        .filter(|interval| interval.low.is_finite() && interval.high.is_finite())
}
