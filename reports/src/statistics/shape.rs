//! What a median doesn't show of its samples: outliers, and more than one peak.

use statrs::distribution::{Binomial, DiscreteCDF as _};

use super::quantile;

/// Values outside Tukey's fences: further than one and a half interquartile ranges from the middle
/// half (John Tukey, *Exploratory Data Analysis*, 1977). Such values are counted and stay in every
/// figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outliers {
    /// The number of values outside the inner fences.
    pub all: usize,
    /// The number of values further out than three interquartile ranges.
    pub far: usize,
}

impl Outliers {
    /// Counts the outliers of `values`; none below four values.
    pub fn of(values: &[f64]) -> Self {
        let sorted = sorted(values);
        let quartiles = quantile(&sorted, 250).zip(quantile(&sorted, 750));
        let Some((lower, upper)) = quartiles.filter(|_| sorted.len() >= 4) else {
            return Self::default();
        };
        let range = upper - lower;
        let beyond = |fences: f64| {
            let (low, high) = (lower - fences * range, upper + fences * range);
            sorted
                .iter()
                .filter(|value| **value < low || **value > high)
                .count()
        };
        Self {
            all: beyond(1.5),
            far: beyond(3.0),
        }
    }
}

/// Two peaks with a valley between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TwoPeaks {
    /// The median of the lower group.
    pub lower: f64,
    /// The median of the upper group.
    pub upper: f64,
    /// The part of the values that belongs to the upper group.
    pub upper_share: f64,
}

impl TwoPeaks {
    /// The smallest part of the values that is a peak and not a few outliers.
    const LEAST_SHARE: f64 = 0.15;

    /// The smallest part of a distribution with one peak that lies in the middle third between the
    /// medians of its two halves: 0.17 for a uniform distribution, 0.18 for a normal, 0.15 for an
    /// exponential one.
    const MIDDLE_OF_ONE_PEAK: f64 = 0.15;

    /// How seldom chance may empty that middle third.
    const SIGNIFICANCE: f64 = 0.001;

    /// Looks for two peaks. The values are cut into two groups, each as narrow as possible (least
    /// squares). There are two peaks if the middle third between the groups' medians is emptier
    /// than a single peak would leave it in 999 cases of 1000. This takes at least 43 values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let sorted = sorted(values);
        let cut = best_cut(&sorted)?;
        let (low, high) = sorted.split_at(cut);
        let least = Self::LEAST_SHARE * sorted.len() as f64;
        if (low.len().min(high.len()) as f64) < least {
            return None;
        }
        let (lower, upper) = (quantile(low, 500)?, quantile(high, 500)?);
        let third = (upper - lower) / 3.0;
        let middle = sorted
            .iter()
            .filter(|value| **value > lower + third && **value < upper - third)
            .count();
        let expected = Binomial::new(Self::MIDDLE_OF_ONE_PEAK, sorted.len() as u64).ok()?;
        (expected.cdf(middle as u64) < Self::SIGNIFICANCE).then(|| Self {
            lower,
            upper,
            upper_share: high.len() as f64 / sorted.len() as f64,
        })
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The place at which sorted values are cut into the two groups with the smallest sum of squares.
/// There the distance between the groups' means, weighted by their sizes, is greatest.
fn best_cut(sorted: &[f64]) -> Option<usize> {
    let total: f64 = sorted.iter().sum();
    let count = sorted.len() as f64;
    let mut below = 0.0;
    let mut best = None;
    for (place, pair) in sorted.windows(2).enumerate() {
        below += pair[0];
        let size = (place + 1) as f64;
        let distance = (total - below) / (count - size) - below / size;
        let between = size * (count - size) * distance * distance;
        if pair[0] < pair[1] && best.is_none_or(|(most, _)| between > most) {
            best = Some((between, place + 1));
        }
    }
    best.map(|(_, cut)| cut)
}

#[cfg(test)]
mod tests {
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    #[test]
    fn outliers_are_those_of_tukey() {
        let mut values: Vec<f64> = (1..=11).map(f64::from).collect();
        assert_eq!(Outliers::of(&values), Outliers { all: 0, far: 0 });
        values.extend([18.0, 60.0]);
        assert_eq!(Outliers::of(&values), Outliers { all: 1, far: 1 });
        values.push(19.9);
        assert_eq!(Outliers::of(&values[..3]).all, 0);
        assert_eq!(Outliers::of(&[5.0; 20]).all, 0);
    }

    #[test]
    fn two_peaks_are_found_and_described() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let values: Vec<f64> = (0..60)
            .map(|i| if i % 3 == 0 { 23.7 } else { 7.7 } + rng.random_range(-0.5..0.5))
            .collect();
        let found = TwoPeaks::of(&values).unwrap();
        assert!((found.lower - 7.7).abs() < 0.2 && (found.upper - 23.7).abs() < 0.2);
        assert!((found.upper_share - 1.0 / 3.0).abs() < 0.01);
        assert_eq!(TwoPeaks::of(&values[..20]), None);
        assert_eq!(TwoPeaks::of(&[1.0; 100]), None);
        assert_eq!(TwoPeaks::of(&[]), None);
    }

    #[test]
    fn one_peak_is_one_whatever_its_shape() {
        type Draw = fn(&mut ChaCha8Rng) -> f64;
        let shapes: [(&str, Draw); 4] = [
            ("uniform", |rng| rng.random_range(0.0..1.0)),
            ("normal", |rng| {
                (0..12).map(|_| rng.random_range(0.0..1.0)).sum()
            }),
            ("exponential", |rng| -rng.random_range(1e-9..1.0_f64).ln()),
            ("with outliers", |rng| {
                let far = rng.random_range(0..20) == 0;
                rng.random_range(0.0..1.0) + if far { 9.0 } else { 0.0 }
            }),
        ];
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        for (name, draw) in shapes {
            for count in [50, 200] {
                let found = (0..500).filter(|_| {
                    let values: Vec<f64> = (0..count).map(|_| draw(&mut rng)).collect();
                    TwoPeaks::of(&values).is_some()
                });
                let found = found.count();
                assert!(found <= 5, "{name}, {count}: {found} of 500");
            }
        }
    }
}
