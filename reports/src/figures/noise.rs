//! The noise floor: how the bare process compares with itself.

use crate::model::Run;
use crate::statistics::{Interval, Series};

/// How the bare process compares with itself, started in turns as if it were two targets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// The median of the second start of each pair over the median of the first.
    pub ratio: f64,
    /// The 95 % interval of the ratio.
    pub interval: Option<Interval>,
    /// The number of pairs.
    pub pairs: usize,
}

impl Noise {
    /// The noise of a run, if it was measured.
    pub fn of(run: &Run) -> Option<Self> {
        let pairs = &run.conduct.instrument.as_ref()?.pairs;
        let side = |index: usize| Series::new((0..).zip(pairs.iter().map(|pair| pair[index])));
        let (one, other) = (side(0), side(1));
        Some(Self {
            ratio: other.ratio(&one)?,
            interval: other.ratio_interval(&one),
            pairs: pairs.len(),
        })
    }

    /// The size of the difference between the bare process and itself, as a part of its median.
    /// There should be none.
    pub fn floor(&self) -> f64 {
        self.ratio.max(1.0 / self.ratio) - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::summary::{Difference, Summary};
    use crate::fixture;
    use crate::model::Instrument;

    #[test]
    fn the_noise_raises_the_least_difference_of_times() {
        let mut run = fixture::run();
        run.conduct.instrument = Some(Instrument {
            pairs: (0..20)
                .map(|i| [5e5 + f64::from(i), 51e5 + f64::from(i)])
                .collect(),
            ..Instrument::default()
        });
        assert!(Noise::of(&run).unwrap().floor() > 9.0);
        let summary = Summary::of(&run);
        let ratio = |section: usize| {
            let column = summary.sections[section].leading().unwrap();
            column.figure_of("container").unwrap().ratio.unwrap()
        };
        assert_eq!(ratio(0).test.difference, Difference::NoDifference);
        assert_eq!(ratio(1).test.difference, Difference::Worse);
    }
}
