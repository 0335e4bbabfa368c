//! Starts beside 0, 10, 50 and 100 idle instances of the same target that run already.
//!
//! A host is seldom empty. The cost of a start may grow with the number of running instances: the
//! kernel keeps mounts, cgroups, interfaces and namespaces in lists and trees that it walks, some
//! of them under one lock.

use std::time::Duration;

use bytesize::ByteSize;
use isobench_reports::schema::start_beside::{CROWDS, METRICS, NAME};
use procfs::{Current as _, Meminfo};

use super::{
    Applicability, Case, Experiment, ExperimentInfo, Inclusion, MeasureContext, MeasureError,
    Measurement, MetricInfo, Reading, ReadyTarget, Rounds, elapsed,
};
use crate::experiments::profile::ByProfile;
use crate::host::accounting::{Accounting, InstanceGroup};
use crate::instance::{Instance, Stdin};
use crate::targets::{Capability, Marks, TargetInfo};

/// The number of starts that are timed beside one crowd. To start a crowd takes far longer than
/// these starts.
const STARTS: u32 = 5;

/// How long the instances of a crowd may live. The timed starts beside them are included.
const CROWD_LIMIT: Duration = Duration::from_mins(2);

/// A crowd stops growing when only one part in so many of the host's memory is available.
const RESERVED_PART: u64 = 4;

/// How the metrics are measured, for a report's reader.
const METHOD: &str = "As `startup`, for the least program, beside 0, 10, 50 and 100 idle instances \
    of the same target, each of which is ready and waits for the end of its standard input. Five \
    starts, one after the other, are timed beside each crowd; the start and the end of the crowd \
    are not timed. The crowd has an accounting cgroup of its own. When only a quarter of the \
    host's \
    memory is left, the crowd stops growing and the sample fails. A slow target gets fewer rounds.";

/// The experiment `start-beside`.
#[derive(Debug)]
pub struct StartBeside {
    info: ExperimentInfo,
}

impl StartBeside {
    pub fn new() -> Self {
        Self {
            info: ExperimentInfo {
                time_per_target: Some(ByProfile {
                    quick: Duration::from_secs(5),
                    standard: Duration::from_secs(30),
                    thorough: Duration::from_mins(3),
                }),
                inclusion: Inclusion::OnlyIfNamed,
                ..ExperimentInfo::new(
                    NAME,
                    METHOD,
                    METRICS.map(|metric| MetricInfo::from(metric).back_to_back()),
                    CROWDS.map(|(_, metric)| Case::of([metric])),
                    ByProfile {
                        quick: Rounds::new(0, 3),
                        standard: Rounds::new(1, 12),
                        thorough: Rounds::new(1, 60),
                    },
                )
            },
        }
    }
}

impl Experiment for StartBeside {
    fn info(&self) -> &ExperimentInfo {
        &self.info
    }

    fn applicability(&self, _: usize, target: &TargetInfo) -> Applicability {
        Applicability::measured_if(target.can(Capability::RunPrograms))
    }

    fn measure(
        &self,
        case: usize,
        target: &ReadyTarget,
        context: &MeasureContext,
    ) -> Result<Measurement, MeasureError> {
        let (running, metric) = &CROWDS[case];
        let crowd = Crowd::start(*running, target, context)?;
        let starts = (0..STARTS).map(|_| start_one(metric.name, target, context));
        let readings: Vec<Reading> = starts.collect::<Result<_, _>>()?;
        crowd.end(target)?;
        Ok(readings.into())
    }
}

/// Starts one instance and times the start.
fn start_one(
    metric: &'static str,
    target: &ReadyTarget,
    context: &MeasureContext,
) -> Result<Reading, MeasureError> {
    let mut launch = context.launch(&["ready"]);
    launch.marks = Marks::None;
    let (group, mut instance) = context.start(target, launch, Stdin::Null)?;
    let took = elapsed(metric, instance.spawned_at(), instance.wait_until_ready()?)?;
    let ended = instance.wait_until_exited()?;
    if let Some(group) = group {
        group.remove(ended)?;
    }
    Ok(Reading::duration(metric, took))
}

/// Idle instances, all of which are ready. Dropping the crowd kills the instances.
struct Crowd<'r> {
    // Dropped before the group: the instances reap their processes.
    instances: Vec<Instance<'r>>,
    group: Option<InstanceGroup>,
}

impl<'r> Crowd<'r> {
    fn start(
        running: u32,
        target: &ReadyTarget,
        context: &'r MeasureContext,
    ) -> Result<Self, MeasureError> {
        let mut group = context.accounting.map(Accounting::new_group).transpose()?;
        let limits = match &mut group {
            Some(group) => group.member_limit_directories(running)?,
            None => vec![Vec::new(); running as usize],
        };
        let mut crowd = Self {
            instances: Vec::new(),
            group,
        };
        for (number, limits) in (0..).zip(limits) {
            check_memory(number)?;
            let mut launch = context.launch(&["idle", "--touch", "4KiB"]);
            launch.marks = Marks::None;
            launch.cgroups = limits;
            let command = target.command(launch, Stdin::HeldOpen)?;
            if let Some(group) = &crowd.group {
                group.enter()?;
            }
            let mut instance =
                Instance::start(&command, Stdin::HeldOpen, CROWD_LIMIT, context.interrupt)?;
            if let Some(group) = &crowd.group {
                group.leave()?;
            }
            instance.wait_until_ready()?;
            crowd.instances.push(instance);
        }
        Ok(crowd)
    }

    fn end(self, target: &ReadyTarget) -> Result<(), MeasureError> {
        let last = target.end_idle_instances(self.instances)?;
        if let Some(group) = self.group {
            group.remove(last)?;
        }
        Ok(())
    }
}

/// Checks that the host has enough memory for another instance. A host whose memory is unknown
/// counts as full.
fn check_memory(running: u32) -> Result<(), MeasureError> {
    let memory = Meminfo::current().ok();
    let available = memory.as_ref().and_then(|memory| memory.mem_available);
    let available = available.unwrap_or_default();
    let total = memory.map_or(0, |memory| memory.mem_total);
    if available > total / RESERVED_PART {
        return Ok(());
    }
    Err(MeasureError::HostFull {
        running,
        available: ByteSize::b(available),
        total: ByteSize::b(total),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_s_name_has_the_number_of_running_instances() {
        for ((running, metric), case) in CROWDS.iter().zip(StartBeside::new().info.cases) {
            assert_eq!(metric.name, format!("beside-{running}"));
            assert_eq!(case.metrics, [metric.name]);
        }
    }
}
