//! Goals that are stated as a ratio to a floor or a peer measured in the same interleaved run, and what a run says of them.
//!
//! The benches print them; nothing asserts them: a shared or busy host must not fail a build by its timing.

use std::fmt::Write as _;

use isobench_reports::model::{Sample, Status, TOTAL};
use isobench_reports::statistics::{Interval, Series};

/// A ratio that is to hold.
#[derive(Debug)]
pub struct Goal {
    /// The experiment that shows it.
    pub experiment: &'static str,
    /// What is compared; the sum, if they are several.
    pub metrics: &'static [&'static str],
    /// The target that is to reach it.
    pub target: &'static str,
    /// The target that it is held against.
    pub baseline: &'static str,
    /// What the ratio may be.
    pub bound: Bound,
}

/// What a ratio may be.
#[derive(Debug, Clone, Copy)]
pub enum Bound {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Goal {
    /// The goal and what `samples` say of it, in one line.
    pub fn held_against(&self, samples: &[Sample]) -> String {
        let of = |target| series(samples, self.experiment, self.metrics, target);
        let metrics = self.metrics.join(" + ");
        let name = format!("{}: {metrics} of {}", self.target, self.baseline);
        self.bound.line(&name, &of(self.target), &of(self.baseline))
    }
}

impl Bound {
    /// What an interval says of it: one that holds the bound itself leaves it open.
    fn verdict(self, interval: Interval) -> &'static str {
        let (holds, fails) = match self {
            Self::AtMost(most) => (interval.high < most, interval.low > most),
            Self::AtLeast(least) => (interval.low > least, interval.high < least),
        };
        match (holds, fails) {
            (true, _) => "holds",
            (_, true) => "fails",
            _ => "undecided",
        }
    }

    /// The goal called `name` and the ratio of `series` to `baseline`, in one line.
    pub fn line(self, name: &str, series: &Series, baseline: &Series) -> String {
        let goal = match self {
            Self::AtMost(most) => format!("{name}, at most {most}x"),
            Self::AtLeast(least) => format!("{name}, at least {least}x"),
        };
        let mut line = format!("{goal:<56} ");
        // Writing to a string can't fail.
        let _ = match (series.ratio(baseline), series.ratio_interval(baseline)) {
            (Some(ratio), Some(interval)) => {
                let verdict = self.verdict(interval);
                let (low, high) = (interval.low, interval.high);
                write!(line, "{ratio:.2}x [{low:.2}, {high:.2}] {verdict}")
            }
            _ => write!(line, "not measured on this host"),
        };
        line
    }
}

/// The sums of `metrics` of each instance.
pub fn series(samples: &[Sample], experiment: &str, metrics: &[&str], target: &str) -> Series {
    let wanted = samples.iter().filter(|sample| {
        sample.experiment == experiment
            && metrics.contains(&sample.metric.as_str())
            && sample.target == target
            && sample.part == TOTAL
            && sample.status == Status::Ok
    });
    let wanted: Vec<&Sample> = wanted.collect();
    let instances = wanted.chunk_by(|left, right| left.sequence == right.sequence);
    Series::new(
        instances
            .filter(|rows| rows.len() == metrics.len())
            .map(|rows| {
                let sum = rows.iter().filter_map(|row| row.value).sum();
                (rows[0].round, sum)
            }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_that_holds_the_bound_leaves_the_goal_open() {
        let interval = |low, high| Interval { low, high };
        for (bound, low, high, verdict) in [
            (Bound::AtMost(1.0), 0.8, 0.9, "holds"),
            (Bound::AtMost(1.0), 0.9, 1.1, "undecided"),
            (Bound::AtMost(1.0), 1.1, 1.2, "fails"),
            (Bound::AtLeast(1.0), 1.1, 1.2, "holds"),
            (Bound::AtLeast(1.0), 0.8, 0.9, "fails"),
        ] {
            assert_eq!(bound.verdict(interval(low, high)), verdict);
        }
    }
}
