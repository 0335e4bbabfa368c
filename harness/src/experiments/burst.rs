//! A hundred starts at once, and starts that come at intervals whether or not the last one is ready.
//!
//! A burst is what a queue of waiting requests does to a host. Starts at intervals are what steady
//! traffic does: each start has the host nearly for itself, unless starts take longer than the
//! interval.

use std::time::Duration;

use isobench_reports::schema::burst::{
    AT_ONCE, BURST, BURST_RATE, IN_TURN, NAME, STAGGER, STAGGERED,
};

use super::crowd::{Crowd, start_crowd};
use super::{
    Case, Experiment, ExperimentInfo, Inclusion, MeasureContext, MeasureError, Measurement,
    MetricInfo, ReadyTarget, Rounds,
};
use crate::experiments::profile::ByProfile;

/// How the metrics are measured, for a report's reader.
const METHOD: &str = "As `parallel`, with a hundred instances that the harness spawns one after \
    the other as fast as it can; and with twenty instances, of which one starts every 200 ms, \
    whether or not the one before is ready. Each instance is a sample, timed from just before its \
    own spawn until its line has been read. A slow target gets fewer rounds.";

/// The crowd of each case.
const CROWDS: [Crowd; 2] = [
    Crowd {
        count: AT_ONCE,
        interval: Duration::ZERO,
        ready: BURST,
        rate: Some(BURST_RATE),
    },
    Crowd {
        count: IN_TURN,
        interval: STAGGER,
        ready: STAGGERED,
        rate: None,
    },
];

/// The experiment `burst`.
#[derive(Debug)]
pub struct Burst {
    info: ExperimentInfo,
}

impl Burst {
    pub fn new() -> Self {
        Self {
            info: ExperimentInfo {
                time_per_target: Some(ByProfile {
                    quick: Duration::from_secs(10),
                    standard: Duration::from_mins(1),
                    thorough: Duration::from_mins(5),
                }),
                inclusion: Inclusion::OnlyIfNamed,
                ..ExperimentInfo::new(
                    NAME,
                    METHOD,
                    [
                        MetricInfo::from(BURST).back_to_back(),
                        MetricInfo::from(BURST_RATE).back_to_back(),
                        MetricInfo::from(STAGGERED).after_gap(STAGGER),
                    ],
                    [Case::of([BURST, BURST_RATE]), Case::of([STAGGERED])],
                    ByProfile {
                        quick: Rounds::new(0, 3),
                        standard: Rounds::new(1, 10),
                        thorough: Rounds::new(1, 50),
                    },
                )
            },
        }
    }
}

impl Experiment for Burst {
    fn info(&self) -> &ExperimentInfo {
        &self.info
    }

    fn measure(
        &self,
        case: usize,
        target: &ReadyTarget,
        context: &MeasureContext,
    ) -> Result<Measurement, MeasureError> {
        start_crowd(&CROWDS[case], target, context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_and_the_crowds_agree() {
        let info = Burst::new().info;
        assert_eq!(CROWDS[0].count, 100);
        assert_eq!(CROWDS[1].interval, Duration::from_millis(200));
        for (case, crowd) in info.cases.iter().zip(CROWDS) {
            assert_eq!(case.metrics[0], crowd.ready.name);
        }
    }
}
