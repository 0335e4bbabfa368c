//! Permutation tests: how often chance alone would show a difference as large.
//!
//! If two targets are the same, their labels mean nothing, and every way to assign the labels is as
//! likely as the way that was measured. Rounds are paired, so labels change places *within* a
//! round. The test looks at a sum of ranks, which no outlier can dominate. The whole permutation
//! distribution of such a sum can be counted instead of drawn, so the smallest p-values are exact
//! and a report doesn't depend on a seed. For long series the normal limit of the distribution is
//! used.
//!
//! Values are ranked among all values of both sides, and not by their differences, as for
//! Wilcoxon's signed ranks: there one outlier makes the largest difference, and so gets the largest
//! rank.

use statrs::distribution::{ContinuousCDF as _, Normal};

use super::ranks;

/// The most pairs whose permutations are counted. Beyond, the normal limit differs by less than a
/// thousandth.
const COUNTED_PAIRS: usize = 64;

/// The most values of two groups whose permutations are counted.
const COUNTED_VALUES: usize = 50;

/// The two-sided p-value of the assumption that both sides of `pairs` are the same: labels change
/// places within pairs.
pub fn flipped(pairs: &[(f64, f64)]) -> f64 {
    let all: Vec<f64> = pairs.iter().flat_map(|(own, base)| [*own, *base]).collect();
    let ranks = ranks::doubled(&all);
    let (mut own_ahead, mut distances) = (0, Vec::new());
    for pair in ranks.chunks_exact(2) {
        distances.push(pair[0].abs_diff(pair[1]));
        own_ahead += pair[0].saturating_sub(pair[1]);
    }
    let total: usize = distances.iter().sum();
    if pairs.len() > COUNTED_PAIRS {
        let squares = distances
            .iter()
            .map(|distance| (distance * distance) as f64);
        return normal(own_ahead, total as f64 / 2.0, squares.sum::<f64>() / 4.0);
    }
    let mut ways = vec![0.0; total + 1];
    ways[0] = 1.0;
    for &distance in &distances {
        // Either value of a pair may get the first label; a pair of equal values has two ways to
        // the same sum.
        for sum in (0..=total).rev() {
            let flipped = sum.checked_sub(distance).map_or(0.0, |less| ways[less]);
            ways[sum] += flipped;
        }
    }
    tail(&ways, own_ahead, total)
}

/// The two-sided p-value of the assumption that `left` and `right` come from one distribution:
/// labels change places among all values.
pub fn mixed(left: &[f64], right: &[f64]) -> f64 {
    let all: Vec<f64> = left.iter().chain(right).copied().collect();
    let ranks = ranks::doubled(&all);
    let (own, count) = (left.len(), all.len());
    if own == 0 || own == count {
        return 1.0;
    }
    let sum: usize = ranks[..own].iter().sum();
    let total: usize = ranks.iter().sum();
    if count > COUNTED_VALUES {
        let mean = total as f64 / count as f64;
        let spread: f64 = ranks.iter().map(|rank| (*rank as f64 - mean).powi(2)).sum();
        let (own, others, count) = (own as f64, (count - own) as f64, count as f64);
        return normal(
            sum,
            own * mean,
            own * others * spread / (count * (count - 1.0)),
        );
    }
    let ways = sums_of(&ranks, own, total);
    tail(&ways, sum, 2 * own * (count + 1))
}

/// For each sum up to `total`, the number of ways in which `chosen` of `ranks` add up to that sum.
fn sums_of(ranks: &[usize], chosen: usize, total: usize) -> Vec<f64> {
    let mut ways = vec![vec![0.0; total + 1]; chosen + 1];
    ways[0][0] = 1.0;
    for &rank in ranks {
        for size in (1..=chosen).rev() {
            let (smaller, rest) = ways.split_at_mut(size);
            for sum in rank..=total {
                rest[0][sum] += smaller[size - 1][sum - rank];
            }
        }
    }
    ways.swap_remove(chosen)
}

/// The share of `ways` whose sum is as far from the middle as `seen`. The distribution is symmetric
/// around half of `twice_middle`.
fn tail(ways: &[f64], seen: usize, twice_middle: usize) -> f64 {
    let distance = |sum: usize| (2 * sum).abs_diff(twice_middle);
    let all: f64 = ways.iter().sum();
    let far: f64 = ways
        .iter()
        .enumerate()
        .filter(|(sum, _)| distance(*sum) >= distance(seen))
        .map(|(_, ways)| ways)
        .sum();
    (far / all).min(1.0)
}

/// The two-sided p-value of a sum of doubled ranks by the normal limit, with a correction for
/// continuity.
fn normal(seen: usize, mean: f64, variance: f64) -> f64 {
    let distance = ((seen as f64 - mean).abs() - 1.0).max(0.0);
    if variance <= 0.0 {
        return 1.0;
    }
    (2.0 * Normal::standard().sf(distance / variance.sqrt())).min(1.0)
}

/// The smallest p-value that [`flipped`] can give for `pairs` pairs.
pub fn least_of_pairs(pairs: usize) -> f64 {
    2.0 * 0.5_f64.powf(pairs as f64)
}

/// The smallest p-value that [`mixed`] can give for groups of `left` and `right` values: 2 of all
/// ways to choose the groups.
pub fn least_of_groups(left: usize, right: usize) -> f64 {
    let chosen = left.min(right);
    let ways = (1..=chosen).fold(1.0, |ways, place| {
        ways * (left + right - chosen + place) as f64 / place as f64
    });
    (2.0 / ways).min(1.0)
}

/// Holm's correction: the p-values such that the chance of a single false alarm among all of them
/// stays what each p-value says.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&left, &right| p_values[left].total_cmp(&p_values[right]));
    let mut corrected = vec![1.0; p_values.len()];
    let mut highest = 0.0_f64;
    for (place, &index) in order.iter().enumerate() {
        let tests = (p_values.len() - place) as f64;
        highest = highest.max(p_values[index] * tests).min(1.0);
        corrected[index] = highest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(value: f64, expected: f64) -> bool {
        (value - expected).abs() < 1e-9
    }

    fn against_zero(values: &[f64]) -> Vec<(f64, f64)> {
        values.iter().map(|value| (*value, 0.0)).collect()
    }

    #[test]
    fn few_pairs_give_the_values_that_one_can_count_by_hand() {
        assert!(close(flipped(&[]), 1.0));
        assert!(close(flipped(&[(3.0, 3.0), (4.0, 4.0)]), 1.0));
        assert!(close(flipped(&against_zero(&[1.0, 2.0, 3.0])), 2.0 / 8.0));
        assert!(close(
            flipped(&against_zero(&[-1.0, -2.0, -3.0])),
            2.0 / 8.0
        ));
        // The ranks 1 to 6 differ by 1, 3 and 1, and the sum ahead is 1 of 5. The sums 0, 1 (two
        // ways), 4 (two ways) and 5 are as far from the middle.
        let pairs = [(3.0, 2.0), (1.0, 4.0), (5.0, 6.0)];
        assert!(close(flipped(&pairs), 6.0 / 8.0));
        assert!(close(
            flipped(&against_zero(&[1.0; 10])),
            least_of_pairs(10)
        ));
    }

    #[test]
    fn one_outlier_on_the_wrong_side_does_not_hide_a_difference() {
        let mut pairs: Vec<(f64, f64)> = (0..19)
            .map(|i| (1.1 + f64::from(i) / 1000.0, 1.0 + f64::from(i) / 1000.0))
            .collect();
        pairs[3].1 = 9.0;
        pairs[11].1 = 8.0;
        let p = flipped(&pairs);
        assert!(p < 0.001, "{p}");
    }

    #[test]
    fn few_values_of_two_groups_too() {
        assert!(close(mixed(&[1.0, 2.0], &[3.0, 4.0]), 2.0 / 6.0));
        assert!(close(mixed(&[1.0, 4.0], &[2.0, 3.0]), 1.0));
        assert!(close(mixed(&[], &[3.0]), 1.0));
        assert!(close(mixed(&[2.0; 5], &[2.0; 5]), 1.0));
        let (low, high) = ([1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0]);
        assert!(close(mixed(&low, &high), 2.0 / 252.0));
        assert!(close(least_of_groups(5, 5), 2.0 / 252.0));
        assert!(close(least_of_groups(8, 8), 2.0 / 12_870.0));
    }

    #[test]
    fn counting_and_the_normal_limit_agree_where_they_meet() {
        let sign = |i: u32| if i.is_multiple_of(3) { -1.0 } else { 1.0 };
        let values: Vec<f64> = (1..=64).map(|i| f64::from(i) * sign(i)).collect();
        let mut pairs = against_zero(&values);
        let counted = flipped(&pairs);
        pairs.push((0.0, 0.0));
        let limit = flipped(&pairs);
        assert!((counted / limit).ln().abs() < 0.3, "{counted} {limit}");
        let group = |count: u32, shift: f64| -> Vec<f64> {
            (0..count).map(|i| f64::from(i * 7 % 25) + shift).collect()
        };
        let mut left = group(25, 0.0);
        let counted = mixed(&left, &group(25, 4.5));
        left.push(14.25);
        let limit = mixed(&left, &group(25, 4.5));
        assert!((counted / limit).ln().abs() < 0.2, "{counted} {limit}");
    }

    #[test]
    fn holm_s_steps_are_those_of_his_paper() {
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (value, expected) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!(close(*value, expected), "{corrected:?}");
        }
        assert_eq!(holm(&[]), [0.0; 0]);
    }

    proptest! {
        #[test]
        fn every_p_value_is_a_probability_and_knows_no_side(
            left in prop::collection::vec(-1e6..1e6_f64, 0..80), right in prop::collection::vec(-1e6..1e6_f64, 0..80),
        ) {
            let p = mixed(&left, &right);
            prop_assert!((0.0..=1.0).contains(&p));
            prop_assert!((p - mixed(&right, &left)).abs() < 1e-9);
            let pairs: Vec<(f64, f64)> = left.into_iter().zip(right).collect();
            let turned: Vec<(f64, f64)> = pairs.iter().map(|(own, base)| (*base, *own)).collect();
            prop_assert!((flipped(&pairs) - flipped(&turned)).abs() < 1e-9);
        }
    }
}
