//! Starts in a crowd: 1, 2, 4, 8 and 16 instances of one target at once, each timed from its own
//! spawn.
//!
//! Several starts at once compete for processors, and for the kernel's locks over namespaces,
//! mounts, cgroups and memory. A single start doesn't show that.

use std::time::Duration;

use isobench_reports::schema::MetricSchema;
use isobench_reports::schema::parallel::{self, CROWDS, NAME};

use super::crowd::{Crowd, start_crowd};
use super::{
    Case, Experiment, ExperimentInfo, MeasureContext, MeasureError, Measurement, MetricInfo,
    ReadyTarget, Rounds,
};
use crate::experiments::profile::ByProfile;

/// How the metrics are measured, for a report's reader.
const METHOD: &str = "Several instances of one target start at once: the harness spawns them one \
    after the other as fast as it can. Each instance is a sample, timed as in `startup` from just \
    before its own spawn until its line has been read. The rate is the number of instances divided \
    by the time from the first spawn until the last instance is ready. All instances share one \
    accounting cgroup, which the harness makes and joins before the clock starts. A slow target \
    gets fewer rounds.";

/// The experiment `parallel`.
#[derive(Debug)]
pub struct Parallel {
    info: ExperimentInfo,
}

impl Parallel {
    pub fn new() -> Self {
        let info = |crowd: &parallel::Crowd, metric: MetricSchema| {
            MetricInfo::from(metric)
                .at_once(crowd.at_once)
                .back_to_back()
        };
        let ready = CROWDS.iter().map(|crowd| info(crowd, crowd.ready));
        let rate = CROWDS.iter().map(|crowd| info(crowd, crowd.rate));
        Self {
            info: ExperimentInfo {
                time_per_target: Some(ByProfile {
                    quick: Duration::from_millis(600),
                    standard: Duration::from_secs(8),
                    thorough: Duration::from_mins(1),
                }),
                ..ExperimentInfo::new(
                    NAME,
                    METHOD,
                    ready.chain(rate),
                    CROWDS
                        .iter()
                        .map(|crowd| Case::of([crowd.ready, crowd.rate])),
                    ByProfile {
                        quick: Rounds::new(1, 5),
                        standard: Rounds::new(1, 30),
                        thorough: Rounds::new(2, 150),
                    },
                )
            },
        }
    }
}

impl Experiment for Parallel {
    fn info(&self) -> &ExperimentInfo {
        &self.info
    }

    fn measure(
        &self,
        case: usize,
        target: &ReadyTarget,
        context: &MeasureContext,
    ) -> Result<Measurement, MeasureError> {
        let known = &CROWDS[case];
        let crowd = Crowd {
            count: known.at_once,
            interval: Duration::ZERO,
            ready: known.ready,
            rate: Some(known.rate),
        };
        start_crowd(&crowd, target, context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_s_name_has_the_number_of_instances() {
        let info = Parallel::new().info;
        for (case, at_once) in info.cases.iter().zip([1, 2, 4, 8, 16]) {
            for name in &case.metrics {
                assert_eq!(info.metric(name).unwrap().at_once, Some(at_once));
                assert!(name.ends_with(&format!("-{at_once}")), "{name}");
            }
        }
    }
}
