//! Starts after the host has been idle: for no time, for 50 and for 250 milliseconds.
//!
//! Starts back to back find warm caches, awake processors and a kernel that has just done the same; a user's start rarely
//! does. The difference may be large: the first write to a `cgroup.procs` after an idle moment waits for an RCU grace
//! period of many milliseconds, which starts back to back never see.
//!
//! The harness joins the instance's accounting cgroup before the gap, not after it: else its own write would take that wait
//! upon itself.

use std::time::Duration;

use isobench_reports::model::Part;
use isobench_reports::schema::MetricSchema;
use isobench_reports::schema::start_gaps::{GAPS, METRICS, NAME};

use super::startup::{phases_of, until_ready};
use super::{Bench, Experiment, MeasureError, Measured, Rounds, Subject};
use crate::experiments::profile::Profile;
use crate::instance::{InstanceError, Stdin};
use crate::targets::TargetInfo;

/// See the module's documentation.
#[derive(Debug)]
pub struct StartGaps;

impl Experiment for StartGaps {
    fn name(&self) -> &'static str {
        NAME
    }

    fn method(&self) -> &'static str {
        "As `startup`, for the least program, with an idle gap before each start: none, 50 and 250 ms, in shuffled order. \
         Everything is prepared and the accounting cgroup joined before the gap; the clock starts after it. In the gap the \
         harness sleeps. A target that is slow gets fewer rounds."
    }

    fn metrics(&self) -> Vec<MetricSchema> {
        METRICS.into()
    }

    fn parts(&self, _: &str, targets: &[&TargetInfo]) -> Vec<Part> {
        phases_of(targets)
    }

    fn idle_gap(&self, metric: &str) -> Option<Duration> {
        let mut gaps = GAPS.iter();
        gaps.find(|(_, known)| known.name == metric)
            .map(|(gap, _)| *gap)
    }

    fn is_default(&self) -> bool {
        false
    }

    fn cases(&self) -> Vec<Vec<&'static str>> {
        GAPS.iter().map(|(_, metric)| vec![metric.name]).collect()
    }

    fn rounds(&self, profile: Profile) -> Rounds {
        match profile {
            Profile::Quick => Rounds {
                warmup: 1,
                measured: 6,
            },
            Profile::Standard => Rounds {
                warmup: 1,
                measured: 40,
            },
            Profile::Thorough => Rounds {
                warmup: 2,
                measured: 200,
            },
        }
    }

    fn patience(&self, profile: Profile) -> Option<Duration> {
        Some(match profile {
            Profile::Quick => Duration::from_secs(3),
            Profile::Standard => Duration::from_secs(20),
            Profile::Thorough => Duration::from_mins(2),
        })
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
                if bench.interrupt.comes_within(*gap) {
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
        for (metric, gap) in [("gap-0", 0), ("gap-50", 50), ("gap-250", 250)] {
            assert_eq!(StartGaps.idle_gap(metric), Some(Duration::from_millis(gap)));
        }
    }
}
