//! Starts after the host has been idle for 0, 50 and 250 milliseconds.
//!
//! Starts back to back find warm caches, awake processors and a kernel that has just done the same
//! work. A user's start rarely does. The difference may be large: the first write to a
//! `cgroup.procs` after an idle moment waits for an RCU grace period of many milliseconds, and
//! starts back to back never wait.
//!
//! The harness joins the instance's accounting cgroup before the gap. If it joined after the gap,
//! the harness's own write would wait for the grace period in place of the target's.

use std::time::Duration;

use isobench_reports::schema::start_gaps::{GAPS, NAME};

use super::startup::until_ready;
use super::{
    Case, Experiment, ExperimentInfo, Inclusion, MeasureContext, MeasureError, Measurement,
    MetricInfo, Parts, ReadyTarget, Rounds,
};
use crate::experiments::profile::ByProfile;
use crate::instance::{InstanceError, Stdin};

/// How the metrics are measured, for a report's reader.
const METHOD: &str = "As `startup`, for the least program, with an idle gap before each start: \
    none, \
    50 and 250 ms, in shuffled order. Before the gap, the harness prepares everything and joins \
    the \
    accounting cgroup. During the gap, the harness sleeps. After the gap, the clock starts. A slow \
    target gets fewer rounds.";

/// The experiment `start-gaps`.
#[derive(Debug)]
pub struct StartGaps {
    info: ExperimentInfo,
}

impl StartGaps {
    pub fn new() -> Self {
        Self {
            info: ExperimentInfo {
                time_per_target: Some(ByProfile {
                    quick: Duration::from_secs(3),
                    standard: Duration::from_secs(20),
                    thorough: Duration::from_mins(2),
                }),
                inclusion: Inclusion::OnlyIfNamed,
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
        target: &ReadyTarget,
        context: &MeasureContext,
    ) -> Result<Measurement, MeasureError> {
        let (gap, metric) = &GAPS[case];
        let launch = context.launch(&["ready"]);
        let (group, instance) =
            context.start_after(target, launch, Stdin::Null, Duration::ZERO, |_| {
                if context.interrupt.stop_requested_within(*gap) {
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
    fn every_metric_has_the_gap_of_its_name() {
        let info = StartGaps::new().info;
        for (name, gap) in [("gap-0", 0), ("gap-50", 50), ("gap-250", 250)] {
            let metric = info.metric(name).unwrap();
            assert_eq!(metric.idle_gap, Some(Duration::from_millis(gap)));
        }
    }
}
