//! Starts after the host has been idle: for no time, for 50 and for 250 milliseconds.
//!
//! Starts back to back find warm caches, awake processors and a kernel that has just done the same; a user's start rarely
//! does. The difference may be large: the first write to a `cgroup.procs` after an idle moment waits for an RCU grace
//! period of many milliseconds, which starts back to back never see.
//!
//! The harness joins the instance's accounting cgroup before the gap, not after it: else its own write would take that wait
//! upon itself.

use std::time::Duration;

use isobench_reports::schema::start_gaps::{GAPS, NAME};

use super::startup::until_ready;
use super::{
    Bench, Case, Experiment, ExperimentInfo, Inclusion, MeasureError, Measured, MetricInfo, Parts,
    Rounds, Subject,
};
use crate::experiments::profile::ByProfile;
use crate::instance::{InstanceError, Stdin};

/// How the figures are measured, for a report's reader.
const METHOD: &str = "As `startup`, for the least program, with an idle gap before each start: none, 50 and 250 ms, in shuffled order. \
    Everything is prepared and the accounting cgroup joined before the gap; the clock starts after it. In the gap the \
    harness sleeps. A target that is slow gets fewer rounds.";

/// See the module's documentation.
#[derive(Debug)]
pub struct StartGaps {
    info: ExperimentInfo,
}

impl StartGaps {
    /// The experiment, described.
    pub fn new() -> Self {
        Self {
            info: ExperimentInfo {
                patience: Some(ByProfile {
                    quick: Duration::from_secs(3),
                    standard: Duration::from_secs(20),
                    thorough: Duration::from_mins(2),
                }),
                inclusion: Inclusion::IfNamed,
                ..ExperimentInfo::new(
                    NAME,
                    METHOD,
                    GAPS.map(|(gap, metric)| {
                        MetricInfo::from(metric)
                            .in_parts(Parts::Phases)
                            .after_gap(gap)
                    }),
                    GAPS.map(|(_, metric)| Case::of([metric])),
                    ByProfile {
                        quick: Rounds::new(1, 6),
                        standard: Rounds::new(1, 40),
                        thorough: Rounds::new(2, 200),
                    },
                )
            },
        }
    }
}

impl Experiment for StartGaps {
    fn info(&self) -> &ExperimentInfo {
        &self.info
    }

    fn measure(
        &self,
        case: usize,
        subject: &Subject,
        bench: &Bench,
    ) -> Result<Measured, MeasureError> {
        let (gap, metric) = &GAPS[case];
        let launch = bench.launch(&["ready"]);
        let (group, instance) =
            bench.start_after(subject, launch, Stdin::Null, Duration::ZERO, |_| {
                if bench.interrupt.stop_requested_within(*gap) {
                    return Err(InstanceError::Interrupted.into());
                }
                Ok(())
            })?;
        Ok(until_ready(metric.name, group, instance)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_says_its_gap() {
        let info = StartGaps::new().info;
        for (name, gap) in [("gap-0", 0), ("gap-50", 50), ("gap-250", 250)] {
            let metric = info.metric(name).unwrap();
            assert_eq!(metric.idle_gap, Some(Duration::from_millis(gap)));
        }
    }
}
