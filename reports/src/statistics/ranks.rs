//! Ranks: the order of values, without their distribution.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

/// Twice the rank of each value among all values, from 2. Equal values share the mean of their
/// ranks, and twice such a mean is always whole.
pub fn doubled(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&left, &right| values[left].total_cmp(&values[right]));
    let mut ranks = vec![0; values.len()];
    let mut start = 0;
    for equal in order.chunk_by(|&left, &right| values[left].total_cmp(&values[right]).is_eq()) {
        let end = start + equal.len();
        for &index in equal {
            ranks[index] = start + 1 + end;
        }
        start = end;
    }
    ranks
}

/// How closely two series rise together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Correlation {
    /// Spearman's coefficient, from −1 to 1.
    pub coefficient: f64,
    /// How often chance alone gives a coefficient as far from 0.
    pub p: f64,
}

/// Spearman's rank correlation of `values` with their own order; nothing below ten values or if all
/// values are equal.
///
/// The p-value is that of Student's t, an approximation that is good from ten values on.
pub fn with_time(values: &[f64]) -> Option<Correlation> {
    const FEWEST: usize = 10;
    let count = values.len();
    if count < FEWEST {
        return None;
    }
    let centre = (count + 1) as f64;
    let (mut product, mut square, mut time_square) = (0.0, 0.0, 0.0);
    for (place, rank) in doubled(values).into_iter().enumerate() {
        let (own, time) = (rank as f64 - centre, 2.0 * (place + 1) as f64 - centre);
        product += own * time;
        square += own * own;
        time_square += time * time;
    }
    if square == 0.0 {
        return None;
    }
    let coefficient = (product / (square * time_square).sqrt()).clamp(-1.0, 1.0);
    let freedom = (count - 2) as f64;
    let left = (1.0 - coefficient * coefficient).max(f64::EPSILON);
    let t = coefficient * (freedom / left).sqrt();
    let p = 2.0 * StudentsT::new(0.0, 1.0, freedom).ok()?.sf(t.abs());
    Some(Correlation { coefficient, p })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_their_ranks() {
        assert_eq!(doubled(&[5.0, 1.0, 5.0, 9.0]), [5, 2, 5, 8]);
        assert_eq!(doubled(&[]), [0_usize; 0]);
    }

    #[test]
    fn a_rise_is_seen_and_a_constant_has_no_correlation() {
        let rising: Vec<f64> = (0..20).map(|i| f64::from(i).powi(3)).collect();
        let found = with_time(&rising).unwrap();
        assert!(found.coefficient > 0.999 && found.p < 1e-6, "{found:?}");
        let falling: Vec<f64> = rising.iter().rev().copied().collect();
        assert!(with_time(&falling).unwrap().coefficient < -0.999);
        assert_eq!(with_time(&[1.0; 20]), None);
        assert_eq!(with_time(&rising[..9]), None);
    }

    #[test]
    fn the_p_value_is_that_of_the_tables() {
        // Spearman's 0.648 is the two-sided 5 % point of ten pairs (Zar, 1972).
        let values = [1.0, 6.0, 2.0, 3.0, 8.0, 4.0, 10.0, 5.0, 7.0, 9.0];
        let found = with_time(&values).unwrap();
        assert!((0.6..0.75).contains(&found.coefficient), "{found:?}");
        assert!((0.01..0.06).contains(&found.p), "{found:?}");
    }
}
