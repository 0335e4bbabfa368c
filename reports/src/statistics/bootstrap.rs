//! The percentile bootstrap over rounds: draw as many rounds as there are, with replacement, many
//! times, and keep the middle 95 % of the results.
//!
//! A draw takes whole *rounds*. The targets of a round ran within moments of each other, so a drift
//! of the host affects both sides of a ratio alike, and drawing rounds keeps the two sides
//! together. The generator has a fixed seed, so the same results file gives the same report. The
//! bias-corrected variant (`BCa`) is not used: its acceleration term is a jackknife, which is
//! inconsistent for the median (Efron and Tibshirani, *An Introduction to the Bootstrap*, sections
//! 10.6 and 11.7).

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};

use super::Interval;
use super::resample::Rounds;

/// The draws behind every interval. With so many, another seed moves the ends by a small part of
/// the interval's width.
pub const RESAMPLES: usize = 2000;

/// The seed of every draw.
pub const SEED: u64 = 0x69_73_6f_62_65_6e_63_68;

/// The interval of the median of values that come in rounds.
pub fn median(units: &[&[f64]]) -> Option<Interval> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut rounds = Rounds::of(units);
    let mut chosen = Vec::new();
    let medians = (0..RESAMPLES).filter_map(|_| draw(&mut rng, &mut rounds, &mut chosen));
    Interval::of_draws(medians.collect())
}

/// The interval of what `compare` makes of two medians, both from the same drawn rounds.
pub fn paired(
    rounds: &[(&[f64], &[f64])],
    compare: impl Fn(f64, f64) -> Option<f64>,
) -> Option<Interval> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let (own, base): (Vec<_>, Vec<_>) = rounds.iter().copied().unzip();
    let (mut own, mut base) = (Rounds::of(&own), Rounds::of(&base));
    let mut chosen = Vec::new();
    let draws = (0..RESAMPLES).filter_map(|_| {
        choose(&mut rng, rounds.len(), &mut chosen);
        own.draw(&chosen);
        base.draw(&chosen);
        let (own, base) = (own.take_median(), base.take_median());
        compare(own?, base?)
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
    let (mut own, mut base) = (Rounds::of(own), Rounds::of(base));
    let mut chosen = Vec::new();
    let draws = (0..RESAMPLES).filter_map(|_| {
        let own = draw(&mut rng, &mut own, &mut chosen);
        let base = draw(&mut rng, &mut base, &mut chosen);
        compare(own?, base?)
    });
    finite(draws.collect())
}

/// `value` over `baseline`; nothing unless both are positive.
pub fn quotient(value: f64, baseline: f64) -> Option<f64> {
    (value > 0.0 && baseline > 0.0).then(|| value / baseline)
}

/// The median of as many rounds as there are, drawn with replacement; `chosen` is reused memory for
/// the places of the drawn rounds.
fn draw(rng: &mut ChaCha8Rng, rounds: &mut Rounds, chosen: &mut Vec<usize>) -> Option<f64> {
    choose(rng, rounds.len(), chosen);
    rounds.draw(chosen);
    rounds.take_median()
}

/// Puts `count` places below `count` into `chosen`, each place as likely as any other.
pub fn choose(rng: &mut ChaCha8Rng, count: usize, chosen: &mut Vec<usize>) {
    chosen.clear();
    chosen.extend((0..count).map(|_| rng.random_range(0..count)));
}

fn finite(draws: Vec<f64>) -> Option<Interval> {
    Interval::of_draws(draws)
        .filter(|interval| interval.low.is_finite() && interval.high.is_finite())
}
