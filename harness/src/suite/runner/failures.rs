//! The targets that have failed every sample of an experiment.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use isobench_reports::one_line;

use crate::experiments::{MeasureError, Measurement};
use crate::suite::plan::PlannedSample;

/// Longest reason that is told, in characters.
const REASON: usize = 300;

/// A target that has failed every sample of some experiments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedTarget {
    /// The target's name.
    pub target: &'static str,
    /// The names of the experiments, in the order of the report.
    pub experiments: Vec<String>,
    /// Why the first of these samples failed.
    pub reason: String,
}

/// One line.
impl fmt::Display for FailedTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (target, reason) = (self.target, &self.reason);
        let experiments = self.experiments.join(", ");
        write!(f, "{target}: all samples of {experiments} failed: {reason}")
    }
}

/// The results of the samples so far.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// By target and experiment, as the plan numbers them: why the first sample failed; `None` once
    /// a sample hasn't.
    reasons: BTreeMap<(usize, usize), Option<String>>,
}

impl Failures {
    /// Takes note of the result of a sample. What the host doesn't have is no failure of a target.
    pub fn note(&mut self, planned: &PlannedSample, result: &Result<Measurement, MeasureError>) {
        let key = (planned.target, planned.experiment);
        match result {
            Err(error) if error.is_obstacle() => {}
            Ok(_) => {
                self.reasons.insert(key, None);
            }
            Err(error) => {
                let reason = || Some(one_line(&chain(error), REASON));
                self.reasons.entry(key).or_insert_with(reason);
            }
        }
    }

    /// The targets that have failed every sample of an experiment. The functions give the names of
    /// targets and experiments.
    pub fn of_targets(
        self,
        target: impl Fn(usize) -> &'static str,
        experiment: impl Fn(usize) -> String,
    ) -> Vec<FailedTarget> {
        let mut failed: Vec<FailedTarget> = Vec::new();
        for ((number, of_experiment), reason) in self.reasons {
            let Some(reason) = reason else { continue };
            let (target, experiment) = (target(number), experiment(of_experiment));
            // A target is prepared once for each of the run's contents.
            match failed.iter_mut().find(|known| known.target == target) {
                Some(known) => known.experiments.push(experiment),
                None => failed.push(FailedTarget {
                    target,
                    experiments: vec![experiment],
                    reason,
                }),
            }
        }
        failed
    }
}

/// The error and its causes.
fn chain(error: &MeasureError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        // Writing to a string can't fail.
        let _ = write!(text, ": {source}");
        cause = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(samples: &[(usize, usize, Result<(), MeasureError>)]) -> Vec<String> {
        let mut failures = Failures::default();
        for (target, experiment, result) in samples {
            let planned = PlannedSample {
                experiment: *experiment,
                case: 0,
                target: *target,
                round: 0,
                is_warmup: false,
            };
            let result = match result {
                Ok(()) => Ok(Measurement::default()),
                Err(MeasureError::NoAccounting) => Err(MeasureError::NoAccounting),
                Err(_) => Err(MeasureError::UnknownMetric { metric: "a\nb" }),
            };
            failures.note(&planned, &result);
        }
        // The second and the third are one target, with two contents.
        let targets = ["one", "two", "two"];
        let failed = failures.of_targets(|number| targets[number], |number| format!("e{number}"));
        failed.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_target_that_failed_all_samples_of_experiments_has_one_line() {
        let failed = || Err(MeasureError::UnknownMetric { metric: "" });
        let lines = failures(&[
            (0, 0, failed()),
            (0, 0, Ok(())),
            (0, 0, failed()),
            (1, 0, failed()),
            (1, 0, failed()),
            (2, 1, failed()),
        ]);
        assert_eq!(lines.len(), 1, "{lines:?}");
        let begins = "two: all samples of e0, e1 failed: the experiment gave `a\u{fffd}b`";
        assert!(lines[0].starts_with(begins), "{lines:?}");
    }

    #[test]
    fn what_the_host_lacks_is_no_failure_of_a_target() {
        assert_eq!(
            failures(&[(0, 0, Err(MeasureError::NoAccounting))]),
            [""; 0]
        );
    }
}
