//! Which order statistics are the ends of an interval of a quantile.
//!
//! The binomial distribution with p = q says which (Conover, *Practical Nonparametric Statistics*,
//! section 3.2): a value lies below the true quantile as often as a trial of chance q succeeds,
//! whatever the distribution of the values is. Each end may miss 2.5 times in 100. Where the longest
//! value misses more often than that, but less than 5 times in 100, it is the upper end, and the
//! lower end may only miss the rest. The values must be independent.

use statrs::distribution::{Binomial, Discrete as _, DiscreteCDF as _};

/// How often an interval may miss.
const MISSES: f64 = 0.05;

/// The ranks of the ends among `count` independent values, from 1; nothing if there are too few
/// values.
pub(super) fn ranks(count: usize, permille: usize) -> Option<(usize, usize)> {
    let share = permille as f64 / 1000.0;
    let below = Binomial::new(share, count as u64).ok()?;
    // If all values lie below the quantile, it is above the longest value.
    let above_all = below.pmf(count as u64);
    if above_all > MISSES {
        return None;
    }
    let side = MISSES / 2.0;
    // The quantile is above the value of a rank if at least as many values lie below the quantile,
    // and below that value if fewer do.
    let low = below.inverse_cdf(side.min(MISSES - above_all));
    let high = below.inverse_cdf(1.0 - side) + 1;
    let [low, high] = [low, high].map(|rank| usize::try_from(rank).unwrap_or(count));
    (low > 0).then_some((low, high.min(count)))
}

/// The fewest independent values that have an interval.
pub(super) fn least(permille: usize) -> usize {
    // A share of 999 thousandths takes 2995.
    let has_interval = |count: &usize| ranks(*count, permille).is_some();
    (1..3000).find(has_interval).unwrap_or(3000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_has_the_ranks_of_the_tables() {
        for (count, low) in [
            (6, 1),
            (8, 1),
            (9, 2),
            (15, 4),
            (25, 8),
            (50, 18),
            (100, 40),
        ] {
            assert_eq!(ranks(count, 500), Some((low, count + 1 - low)), "{count}");
        }
        assert_eq!(ranks(5, 500), None);
    }
}
