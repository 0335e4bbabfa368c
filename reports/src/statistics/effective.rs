//! How many independent values tell as much as values do that depend on each other.
//!
//! Values of one round were taken side by side, so one slow moment of the host makes all of them
//! slow. The share of the values below some limit then varies more from round to round than chance
//! alone lets it vary. The quotient of the two variances is the *design effect* of values that come
//! in clusters (Kish, *Survey Sampling*, 1965). An interval that is exact for independent values is
//! taken of as many values as there are over the design effect (Korn and Graubard, *Confidence
//! Intervals for Proportions With Small Expected Number of Positive Counts Estimated From Survey
//! Data*, Survey Methodology 24, 1998).

use statrs::distribution::{ChiSquared, ContinuousCDF as _, Normal, StudentsT};
use statrs::statistics::Statistics as _;

use super::batches;

/// What one round has of some kind: the values of that kind, and all values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// The number of values of the kind.
    pub of_kind: usize,
    /// The number of all values.
    pub all: usize,
}

/// The effective number of the values of `rounds`, which stand in the order in which they were
/// taken. Nothing if there is one round with several values: nobody knows how these depend.
///
/// Rounds with several values are clusters. From 24 rounds on, rounds are also cut into the
/// consecutive batches of the median's interval. If the share varies from batch to batch by more
/// than it does 99 times in 100 where rounds are independent, the batches are clusters too.
pub fn number(rounds: &[Round]) -> Option<usize> {
    let whole = Whole::of(rounds);
    let mut effective = whole.count;
    if rounds.iter().any(|round| round.all > 1) {
        if rounds.len() < 2 {
            return None;
        }
        let shares: Vec<f64> = rounds.iter().map(|round| whole_share(&[*round])).collect();
        effective = effective.min(whole.effective(&shares));
    }
    if let Some(batches) = batches::cut(rounds) {
        let shares: Vec<f64> = batches.map(whole_share).collect();
        if whole.design_effect(&shares) > largest_by_chance(shares.len()) {
            effective = effective.min(whole.effective(&shares));
        }
    }
    let all = rounds.iter().map(|round| round.all).sum();
    // A little less than a whole number, since shares are rounded.
    let whole = (1..=all).take_while(|number| *number as f64 <= effective + 1e-6);
    Some(whole.count())
}

/// All rounds together.
struct Whole {
    count: f64,
    share: f64,
}

impl Whole {
    fn of(rounds: &[Round]) -> Self {
        let count: usize = rounds.iter().map(|round| round.all).sum();
        Self {
            count: count as f64,
            share: whole_share(rounds),
        }
    }

    /// The effective number of the values of clusters. Few clusters tell little about their own
    /// variation, which Student's t makes up for.
    fn effective(&self, shares: &[f64]) -> f64 {
        let clusters = shares.len() as f64;
        let doubt = StudentsT::new(0.0, 1.0, clusters - 1.0).map_or(0.0, |student| {
            Normal::standard().inverse_cdf(0.975) / student.inverse_cdf(0.975)
        });
        let effective = self.count / self.design_effect(shares).max(1.0) * doubt * doubt;
        // A cluster tells at least as much as one value does.
        effective.max(clusters).min(self.count)
    }

    /// The variance of the mean share, over the variance that it would have if all values were
    /// independent. Zero if all values are of the kind, or none is: then nothing tells.
    fn design_effect(&self, shares: &[f64]) -> f64 {
        let by_chance = self.share * (1.0 - self.share) / self.count;
        if by_chance <= 0.0 {
            return 0.0;
        }
        shares.variance() / shares.len() as f64 / by_chance
    }
}

/// The share of the kind in these rounds together.
fn whole_share(rounds: &[Round]) -> f64 {
    let sum = |of: fn(&Round) -> usize| rounds.iter().map(of).sum::<usize>();
    sum(|round| round.of_kind) as f64 / sum(|round| round.all).max(1) as f64
}

/// What the design effect of so many independent clusters is below 99 times in 100.
fn largest_by_chance(clusters: usize) -> f64 {
    let freedom = clusters as f64 - 1.0;
    ChiSquared::new(freedom).map_or(1.0, |chance| chance.inverse_cdf(0.99) / freedom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(of_kind: &[usize], all: usize) -> Vec<Round> {
        let round = |of_kind: &usize| Round {
            of_kind: *of_kind,
            all,
        };
        of_kind.iter().map(round).collect()
    }

    #[test]
    fn single_values_without_a_pattern_count_as_many_as_they_are() {
        assert_eq!(number(&rounds(&[1, 0, 1], 1)), Some(3));
        let mixed: Vec<usize> = (0..80).map(|round| usize::from(round % 10 < 9)).collect();
        assert_eq!(number(&rounds(&mixed, 1)), Some(80));
    }

    #[test]
    fn single_values_that_come_together_count_less() {
        let mut sorted = vec![1; 60];
        sorted.resize(80, 0);
        let number = number(&rounds(&sorted, 1)).unwrap();
        assert!((8..12).contains(&number), "{number}");
    }

    #[test]
    fn rounds_of_equal_values_count_as_rounds() {
        // Each of 20 rounds has ten values that are all of the kind, or none of which is.
        let alike = [10, 10, 10, 0].repeat(5);
        assert_eq!(number(&rounds(&alike, 10)), Some(20));
    }

    #[test]
    fn one_round_of_several_values_tells_nothing_of_their_dependence() {
        assert_eq!(number(&rounds(&[5], 10)), None);
        assert_eq!(number(&rounds(&[1], 1)), Some(1));
    }
}
