//! When no more samples of a target are taken: its last samples failed, and the next would as well.

use std::collections::HashMap;

use crate::experiments::{GiveUp, MeasureError, Measurement, ReadyTarget};
use crate::suite::plan::PlannedSample;

/// How many samples of one target in a row may time out.
const MAX_HUNG: u32 = 2;

/// The samples in a row that have failed.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// By target: the samples in a row that have timed out.
    hung: HashMap<usize, u32>,
    /// By experiment and target: the samples in a row that have failed.
    failed: HashMap<(usize, usize), u32>,
}

impl Patience {
    /// Whether the sample isn't taken, and has no row either.
    pub fn is_spent(&self, give_up: GiveUp, planned: &PlannedSample) -> bool {
        let failed = self.failed.get(&key(planned)).copied().unwrap_or(0);
        matches!(give_up, GiveUp::AfterFailures(most) if failed >= most)
    }

    /// Refuses a sample of a target whose last samples have timed out.
    ///
    /// # Errors
    /// [`MeasureError::GivenUp`]
    pub fn check(
        &self,
        give_up: GiveUp,
        planned: &PlannedSample,
        target: &ReadyTarget,
    ) -> Result<(), MeasureError> {
        let hung = self.hung.get(&planned.target).copied().unwrap_or(0);
        if give_up == GiveUp::AfterTimeouts && hung >= MAX_HUNG {
            let target = target.info.name;
            return Err(MeasureError::GivenUp { target, hung });
        }
        Ok(())
    }

    /// Takes note of the result of a sample. A refusal doesn't change what is known.
    pub fn note(
        &mut self,
        give_up: GiveUp,
        planned: &PlannedSample,
        result: &Result<Measurement, MeasureError>,
    ) {
        match give_up {
            GiveUp::AfterTimeouts => {
                if !matches!(result, Err(MeasureError::GivenUp { .. })) {
                    let timed_out = result.as_ref().is_err_and(MeasureError::is_timeout);
                    count(self.hung.entry(planned.target).or_default(), timed_out);
                }
            }
            GiveUp::AfterFailures(_) => {
                count(
                    self.failed.entry(key(planned)).or_default(),
                    result.is_err(),
                );
            }
        }
    }
}

fn key(planned: &PlannedSample) -> (usize, usize) {
    (planned.experiment, planned.target)
}

/// Counts failures in a row.
fn count(number: &mut u32, has_failed: bool) {
    *number = if has_failed { *number + 1 } else { 0 };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_end_one_experiment_on_one_target() {
        let planned = |experiment, target| PlannedSample {
            experiment,
            case: 0,
            target,
            round: 0,
            is_warmup: false,
        };
        let rule = GiveUp::AfterFailures(3);
        let mut patience = Patience::default();
        let good = || Ok(Measurement::default());
        let bad = || Err(MeasureError::Untimed);
        for result in [bad(), bad(), good(), bad(), bad()] {
            patience.note(rule, &planned(0, 0), &result);
        }
        assert!(!patience.is_spent(rule, &planned(0, 0)));
        patience.note(rule, &planned(0, 0), &bad());
        assert!(patience.is_spent(rule, &planned(0, 0)));
        for other in [planned(1, 0), planned(0, 1)] {
            assert!(!patience.is_spent(rule, &other));
        }
        assert!(!patience.is_spent(GiveUp::AfterTimeouts, &planned(0, 0)));
    }
}
