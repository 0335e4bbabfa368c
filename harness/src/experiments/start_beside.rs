//! Starts beside instances of the same target that run already: 0, 10, 50 and 100 of them, idle.
//!
//! A host is seldom empty. What a start costs may grow with what is there: mounts, cgroups, interfaces and namespaces are in
//! lists and trees that the kernel walks, some of them under one lock.

use std::time::Duration;

use bytesize::ByteSize;
use isobench_reports::schema::start_beside::{CROWDS, METRICS, NAME};
use procfs::{Current as _, Meminfo};

use super::{
    Applicability, Bench, Case, Experiment, ExperimentInfo, Inclusion, MeasureError, Measured,
    MetricInfo, Reading, Rounds, Subject, elapsed,
};
use crate::experiments::profile::ByProfile;
use crate::host::accounting::{Accounting, InstanceGroup};
use crate::instance::{Instance, Stdin};
use crate::targets::{Capability, Marks, TargetInfo};

/// Starts that are timed beside one crowd: making it takes far longer than they do.
const STARTS: u32 = 5;

/// How long the instances of a crowd may be there, all starts beside them included.
const LIFE: Duration = Duration::from_mins(2);

/// The crowd grows no further once this part of the host's memory is all that is left.
const RESERVE: u64 = 4;

/// How the figures are measured, for a report's reader.
const METHOD: &str = "As `startup`, for the least program, beside 0, 10, 50 and 100 idle instances of the same target, which have said that \
    they are ready and wait for their standard input to end. Five starts, one after the other, are timed beside each crowd; \
    its own start and end are not. The crowd has an accounting cgroup of its own. It stops growing, and the sample fails, \
    when a quarter of the host's memory is left. A target that is slow gets fewer rounds.";

/// See the module's documentation.
#[derive(Debug)]
pub struct StartBeside {
    info: ExperimentInfo,
}

impl StartBeside {
    /// The experiment, described.
    pub fn new() -> Self {
        Self {
            info: ExperimentInfo {
                patience: Some(ByProfile {
                    quick: Duration::from_secs(5),
                    standard: Duration::from_secs(30),
                    thorough: Duration::from_mins(3),
                }),
                inclusion: Inclusion::IfNamed,
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
        subject: &Subject,
        bench: &Bench,
    ) -> Result<Measured, MeasureError> {
        let (running, metric) = &CROWDS[case];
        let crowd = Crowd::start(*running, subject, bench)?;
        let starts = (0..STARTS).map(|_| start_one(metric.name, subject, bench));
        let readings: Vec<Reading> = starts.collect::<Result<_, _>>()?;
        crowd.end(subject)?;
        Ok(readings.into())
    }
}

/// One timed start.
fn start_one(
    metric: &'static str,
    subject: &Subject,
    bench: &Bench,
) -> Result<Reading, MeasureError> {
    let mut launch = bench.launch(&["ready"]);
    launch.marks = Marks::None;
    let (group, mut instance) = bench.start(subject, launch, Stdin::Null)?;
    let took = elapsed(metric, instance.spawned_at(), instance.wait_until_ready()?)?;
    let ended = instance.wait_until_exited()?;
    if let Some(group) = group {
        group.remove(ended)?;
    }
    Ok(Reading::duration(metric, took))
}

/// Idle instances, each of which was ready. Dropping it kills them; of its fields the instances go first.
struct Crowd<'r> {
    instances: Vec<Instance<'r>>,
    group: Option<InstanceGroup>,
}

impl<'r> Crowd<'r> {
    fn start(running: u32, subject: &Subject, bench: &'r Bench) -> Result<Self, MeasureError> {
        let mut group = bench.accounting.map(Accounting::new_group).transpose()?;
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
            let mut launch = bench.launch(&["idle", "--touch", "4KiB"]);
            launch.marks = Marks::None;
            launch.cgroups = limits;
            let command = subject.command(launch, Stdin::HeldOpen)?;
            if let Some(group) = &crowd.group {
                group.enter()?;
            }
            let mut instance = Instance::start(&command, Stdin::HeldOpen, LIFE, bench.interrupt)?;
            if let Some(group) = &crowd.group {
                group.leave()?;
            }
            instance.wait_until_ready()?;
            crowd.instances.push(instance);
        }
        Ok(crowd)
    }

    fn end(self, subject: &Subject) -> Result<(), MeasureError> {
        let last = subject.end_idle(self.instances)?;
        if let Some(group) = self.group {
            group.remove(last)?;
        }
        Ok(())
    }
}

/// An error if the host has too little memory for another instance. One that doesn't say is not filled up either.
fn check_memory(running: u32) -> Result<(), MeasureError> {
    let memory = Meminfo::current().ok();
    let available = memory.as_ref().and_then(|memory| memory.mem_available);
    let available = available.unwrap_or_default();
    let total = memory.map_or(0, |memory| memory.mem_total);
    if available > total / RESERVE {
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
    fn every_metric_says_how_many_run_already() {
        for ((running, metric), case) in CROWDS.iter().zip(StartBeside::new().info.cases) {
            assert_eq!(metric.name, format!("beside-{running}"));
            assert_eq!(case.metrics, [metric.name]);
        }
    }
}
