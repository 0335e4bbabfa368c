//! Medians of rounds that are drawn with replacement.
//!
//! The values are sorted once. A draw counts how often each value was taken, and the median is
//! where the counts reach their half. Counting is several times as fast as copying the drawn values
//! and selecting among them, and gives the same number.

/// The values of a series by round, and how often each was drawn.
#[derive(Debug)]
pub struct Rounds {
    sorted: Vec<f64>,
    /// For each value, round after round, its place in `sorted`.
    places: Vec<u32>,
    /// For each round, its beginning in `places`, and the end of the last round; nothing if each
    /// round has one value, as in most series.
    starts: Option<Vec<usize>>,
    /// How often each value of `sorted` was drawn.
    drawn: Vec<u32>,
    total: usize,
}

impl Rounds {
    /// The rounds whose values are `units`.
    pub fn of(units: &[&[f64]]) -> Self {
        let values = units.concat();
        let mut order: Vec<u32> = (0..).take(values.len()).collect();
        let value = |place: u32| values[place as usize];
        order.sort_unstable_by(|left, right| value(*left).total_cmp(&value(*right)));
        let mut places = vec![0; values.len()];
        for (place, index) in (0..).zip(&order) {
            places[*index as usize] = place;
        }
        Self {
            sorted: order.into_iter().map(value).collect(),
            drawn: vec![0; places.len()],
            places,
            starts: starts(units),
            total: 0,
        }
    }

    /// The number of rounds.
    pub fn len(&self) -> usize {
        match &self.starts {
            Some(starts) => starts.len() - 1,
            None => self.places.len(),
        }
    }

    /// Draws the rounds at these places.
    pub fn draw(&mut self, rounds: &[usize]) {
        let Some(starts) = &self.starts else {
            self.total += rounds.len();
            for round in rounds {
                self.drawn[self.places[*round] as usize] += 1;
            }
            return;
        };
        for round in rounds {
            let values = starts[*round]..starts[round + 1];
            self.total += values.len();
            for place in &self.places[values] {
                self.drawn[*place as usize] += 1;
            }
        }
    }

    /// The median of the values drawn since the last median was taken; nothing if no value was
    /// drawn.
    pub fn take_median(&mut self) -> Option<f64> {
        let (lower, upper) = (self.total.checked_sub(1)? / 2, self.total / 2);
        let mut reached = 0;
        let mut middle = None;
        for (value, count) in self.sorted.iter().zip(&self.drawn) {
            reached += *count as usize;
            if middle.is_none() && reached > lower {
                middle = Some(*value);
            }
            if reached > upper {
                middle = middle.map(|lower| lower + (value - lower) / 2.0);
                break;
            }
        }
        self.drawn.fill(0);
        self.total = 0;
        middle
    }
}

/// Where the values of each of `units` begin if all stand in a row, and the end; nothing if each
/// round has one value.
fn starts(units: &[&[f64]]) -> Option<Vec<usize>> {
    if units.iter().all(|unit| unit.len() == 1) {
        return None;
    }
    let mut starts = vec![0];
    for unit in units {
        starts.push(starts[starts.len() - 1] + unit.len());
    }
    Some(starts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::median;
    use super::*;

    proptest! {
        #[test]
        fn it_is_the_median_of_copies(
            units in prop_oneof![
                prop::collection::vec(prop::collection::vec(-1e9..1e9_f64, 0..4), 1..30),
                prop::collection::vec(prop::collection::vec(-1e9..1e9_f64, 1), 1..30),
            ],
            draws in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        ) {
            let units: Vec<&[f64]> = units.iter().map(Vec::as_slice).collect();
            let mut rounds = Rounds::of(&units);
            for half in draws.chunks(30) {
                let drawn: Vec<usize> = half.iter().map(|draw| draw.index(rounds.len())).collect();
                rounds.draw(&drawn);
                let mut copies: Vec<f64> = drawn.iter().flat_map(|round| units[*round]).copied().collect();
                prop_assert_eq!(rounds.take_median(), median(&mut copies));
            }
            prop_assert_eq!(rounds.take_median(), None);
        }
    }
}
