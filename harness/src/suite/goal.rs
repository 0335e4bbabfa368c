//! Goals: bounds for the ratio of a target to a floor or a peer, both measured in the same
//! interleaved run.
//!
//! The benches print whether a goal is reached. No test asserts it, because the timing of a shared
//! or busy host must not fail a build.

use std::fmt::Write as _;

use isobench_reports::model::{Sample, Status, TOTAL};
use isobench_reports::statistics::{Interval, Series};

/// A bound for the ratio of two targets.
#[derive(Debug)]
pub struct Goal {
    /// The experiment that measures both targets.
    pub experiment: &'static str,
    /// The metrics that are compared. Several metrics are added up.
    pub metrics: &'static [&'static str],
    /// The target that has the goal.
    pub target: &'static str,
    /// The target with which it is compared.
    pub baseline: &'static str,
    /// The bound for the ratio.
    pub bound: Bound,
}

/// A bound for a ratio.
#[derive(Debug, Clone, Copy)]
pub enum Bound {
    /// The ratio may be at most this number.
    AtMost(f64),
    /// The ratio must be at least this number.
    AtLeast(f64),
}

impl Goal {
    /// The goal, and whether `samples` reach the goal, in one line.
    pub fn result_line(&self, samples: &[Sample]) -> String {
        let series = |target| series(samples, self.experiment, self.metrics, target);
        let metrics = self.metrics.join(" + ");
        let name = format!("{}: {metrics} of {}", self.target, self.baseline);
        let (own, baseline) = (series(self.target), series(self.baseline));
        self.bound.result_line(&name, &own, &baseline)
    }
}

impl Bound {
    /// Whether a ratio with this interval keeps the bound. If the bound lies inside the interval,
    /// the answer is open.
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

    /// The goal called `name`, and the ratio of `series` to `baseline`, in one line.
    pub fn result_line(self, name: &str, series: &Series, baseline: &Series) -> String {
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

/// What is said beside a difference with this interval if chance alone may have made it.
pub fn noise_note(difference: Interval) -> Option<&'static str> {
    let is_noise = difference.low <= 0.0 && difference.high >= 0.0;
    is_noise.then_some("can't be told from noise")
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
    fn a_difference_whose_interval_holds_zero_may_be_noise() {
        for (low, high, is_noise) in [
            (-1.0, 2.0, true),
            (0.0, 0.0, true),
            (1.0, 2.0, false),
            (-2.0, -1.0, false),
        ] {
            assert_eq!(noise_note(Interval { low, high }).is_some(), is_noise);
        }
    }

    #[test]
    fn a_goal_is_open_if_the_bound_lies_inside_the_interval() {
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
