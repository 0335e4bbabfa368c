//! Medians, how sure they are, and whether two of them differ.
//!
//! Times and sizes are skewed: a start can be ten times slower than usual, never ten times faster.
//! So nothing here assumes a distribution. A figure is a median; its interval comes from order
//! statistics; the interval of a ratio comes from rounds that are drawn anew; and a permutation
//! test says whether there is a difference. Each concern has a file. `coverage.rs` measures by
//! simulation what the methods reach.

mod batches;
mod bootstrap;
#[cfg(test)]
mod coverage;
mod effective;
mod interval;
mod joint;
mod line;
mod order;
pub mod permutation;
mod proportion;
pub mod ranks;
mod resample;
mod series;
pub mod shape;
mod tail;

pub use effective::Round;
pub use interval::{Estimate, Interval, ROUNDS_FOR_95};
pub use joint::Joint;
pub use line::Line;
pub use proportion::Proportion;
pub use series::{Evidence, Series};
pub use tail::{Bounds, Tail};

/// The median of `values`, which are reordered; nothing if there are none.
pub fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let odd = values.len() % 2 == 1;
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if odd {
        return Some(upper);
    }
    let lower = below.iter().copied().max_by(f64::total_cmp)?;
    Some(lower + (upper - lower) / 2.0)
}

/// The quantile of `sorted` at `permille` thousandths, linear between neighbours; nothing if there
/// are no values.
pub fn quantile(sorted: &[f64], permille: usize) -> Option<f64> {
    let position = sorted.len().checked_sub(1)? * permille.min(1000);
    let lower = sorted[position / 1000];
    let upper = sorted.get(position / 1000 + 1).copied().unwrap_or(lower);
    Some(lower + (upper - lower) * ((position % 1000) as f64 / 1000.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_quantiles_of_small_samples() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0]), Some(3.0));
        assert_eq!(median(&mut [9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(quantile(&[], 500), None);
        assert_eq!(quantile(&[1.0, 2.0, 3.0], 0), Some(1.0));
        assert_eq!(quantile(&[1.0, 2.0, 3.0], 750), Some(2.5));
        assert_eq!(quantile(&[1.0, 2.0, 3.0], 1000), Some(3.0));
    }
}
