//! Ways to start a program that initialises: cold, from a pool, from a snapshot, and as a clone of a
//! template.
//!
//! Products quote starts that leave something out: the set-up that a pool has done before, the
//! program's initialisation, or the page faults that a clone serves later. So each way is measured
//! up to the first answer of the same program (the workload `serve`), and up to its hundredth. Each
//! answer reads a hundredth of the memory that the program has written to. What a start has put off
//! is the time by which the answers after the first take longer than as many later ones, which read
//! the same memory again.

mod ways;

use std::time::Duration;

use isobench_reports::schema::MetricSchema;
use isobench_reports::schema::start_warm::{
    COLD, FORK, FORK_MEMORY, LEAST_COLD, LEAST_POOL, METRICS, NAME, POOL, RESTORE,
    RESTORE_FROM_DISK, SNAPSHOT_SIZE, SNAPSHOT_TIME, Way,
};

use super::{
    Applicability, Case, Experiment, ExperimentInfo, Inclusion, MeasureContext, MeasureError,
    Measurement, MetricInfo, ReadyTarget, Rounds,
};
use crate::experiments::profile::ByProfile;
use crate::host::session::Medium;
use crate::targets::{Capability, TargetInfo};
use ways::{Program, SnapshotPlace};

/// What is measured in one fresh instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Cold,
    Pool,
    Restore,
    RestoreFromDisk,
    Fork,
    LeastCold,
    LeastPool,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Cold,
        Self::Pool,
        Self::Restore,
        Self::RestoreFromDisk,
        Self::Fork,
        Self::LeastCold,
        Self::LeastPool,
    ];

    /// The metrics of which the kind gives values.
    fn metrics(self) -> Vec<MetricSchema> {
        let times = |way: Way| [way.first, way.hundredth, way.tail];
        let (times, others): (&[_], &[_]) = match self {
            Self::Cold => (&times(COLD), &[]),
            Self::Pool => (&times(POOL), &[]),
            Self::Restore => (&times(RESTORE), &[SNAPSHOT_SIZE, SNAPSHOT_TIME]),
            Self::Fork => (&times(FORK), &[FORK_MEMORY]),
            Self::RestoreFromDisk => (&[], &[RESTORE_FROM_DISK]),
            Self::LeastCold => (&[], &[LEAST_COLD]),
            Self::LeastPool => (&[], &[LEAST_POOL]),
        };
        [times, others].concat()
    }

    /// What a target has to be able to do; `None` if any can do it.
    fn needs(self, target: &TargetInfo) -> Option<Capability> {
        match self {
            Self::Cold | Self::LeastCold => None,
            Self::Pool | Self::LeastPool => Some(Capability::HoldBeforeProgram),
            Self::Restore | Self::RestoreFromDisk => Some(Capability::KeepSnapshots),
            // A program that gets the harness's own descriptors can be asked for clones of itself.
            Self::Fork if target.can(Capability::PassDescriptors) => None,
            Self::Fork => Some(Capability::CloneWhole),
        }
    }
}

/// How the metrics are measured, for a report's reader.
const METHOD: &str = "The program writes to 16 MiB, computes for 10 ms, and answers one line \
    for each line it reads; each answer reads another hundredth of the 16 MiB. `cold` runs from \
    just before the harness spawns the target's command until the first answer has been read. \
    `pool`: the launcher has set all up and waits with the program's start; the time runs from \
    just before the word that lets the launcher go on. `restore`: the program has initialised, \
    and its memory and registers are in a file; the time runs from just before the spawn of the \
    command that goes on from there. The file is in the page cache, and for `restore-disk` on \
    the disk alone, which is verified. `fork`: the program has initialised and waits for its \
    first line; the time runs from just before the request for a clone. The clone of a VM \
    without a guest OS is a process and a VM of its own, which share memory with the template \
    until they change it. Elsewhere the program clones itself by fork(2), and the clone shares \
    all around it with the template: namespaces, root, cgroup. `-100` runs up to the hundredth \
    answer. `-tail` is the time of answers 2 to 100 minus the time of answers 102 to 200. \
    `cold-least` and `pool-least` are the same starts of the program of `startup`, which does \
    not initialise, up to its line. `fork-memory` is what the instance's cgroup is charged with \
    more after the first answer of one clone.";

/// The experiment `start-warm`.
#[derive(Debug)]
pub struct StartWarm {
    info: ExperimentInfo,
}

impl StartWarm {
    pub fn new() -> Self {
        Self {
            info: ExperimentInfo {
                inclusion: Inclusion::OnlyIfNamed,
                medium: Medium::Disk,
                time_per_target: Some(ByProfile {
                    quick: Duration::from_secs(5),
                    standard: Duration::from_secs(30),
                    thorough: Duration::from_mins(2),
                }),
                ..ExperimentInfo::new(
                    NAME,
                    METHOD,
                    METRICS.map(|metric| MetricInfo::from(metric).back_to_back()),
                    Kind::ALL.map(|kind| Case::of(kind.metrics())),
                    ByProfile {
                        quick: Rounds::new(1, 10),
                        standard: Rounds::new(2, 60),
                        thorough: Rounds::new(5, 300),
                    },
                )
            },
        }
    }
}

impl Experiment for StartWarm {
    fn info(&self) -> &ExperimentInfo {
        &self.info
    }

    fn applicability(&self, case: usize, target: &TargetInfo) -> Applicability {
        if !target.can(Capability::RunPrograms) || !target.can(Capability::PassEndOfInput) {
            return Applicability::NotApplicable;
        }
        let missing = Kind::ALL[case].needs(target);
        match missing.and_then(|needed| target.why_not(needed)) {
            None => Applicability::Measured,
            Some(reason) => Applicability::Impossible(reason.into()),
        }
    }

    fn measure(
        &self,
        case: usize,
        target: &ReadyTarget,
        context: &MeasureContext,
    ) -> Result<Measurement, MeasureError> {
        let readings = match Kind::ALL[case] {
            Kind::Cold => ways::cold(target, context),
            Kind::Pool => ways::pool(Program::Initialising, target, context),
            Kind::Restore => ways::restore(SnapshotPlace::PageCache, target, context),
            Kind::RestoreFromDisk => ways::restore(SnapshotPlace::Disk, target, context),
            Kind::Fork => ways::fork(target, context),
            Kind::LeastCold => ways::least_cold(target, context),
            Kind::LeastPool => ways::pool(Program::Least, target, context),
        };
        readings.map(Measurement::from)
    }
}

#[cfg(test)]
mod tests {
    use isobench_reports::model::{TargetFamily, TargetKind};

    use super::*;
    use crate::targets::Capabilities;

    #[test]
    fn what_a_target_lacks_is_named() {
        let experiment = StartWarm::new();
        let target = TargetInfo {
            capabilities: Capabilities::OF_MOST_PEERS,
            ..TargetInfo::new(TargetKind::Peer, TargetFamily::Container, "peer", "a peer")
        };
        assert_eq!(
            experiment.applicability(0, &target),
            Applicability::Measured
        );
        for case in 1..=4 {
            let applicability = experiment.applicability(case, &target);
            assert!(
                matches!(applicability, Applicability::Impossible(_)),
                "{applicability:?}"
            );
        }
    }
}
