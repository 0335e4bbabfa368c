//! Starts beside instances of the same target that run already: 0, 10, 50 and 100 of them, idle.
//!
//! A host is seldom empty. What a start costs may grow with what is there: mounts, cgroups, interfaces and namespaces are in
//! lists and trees that the kernel walks, some of them under one lock.

use std::time::Duration;

use bytesize::ByteSize;
use isobench_reports::model::Part;
use isobench_reports::schema::MetricSchema;
use isobench_reports::schema::start_beside::{CROWDS, METRICS, NAME};
use procfs::{Current as _, Meminfo};

use super::{
    BACK_TO_BACK, Bench, Experiment, MeasureError, Measured, Reading, Rounds, Subject, elapsed,
};
use crate::experiments::profile::Profile;
use crate::host::accounting::{Accounting, Group};
use crate::host::clock::MonotonicTime;
use crate::instance::{Instance, InstanceError, Stdin};
use crate::targets::{Capability, Marks, TargetInfo};

/// Starts that are timed beside one crowd: making it takes far longer than they do.
const STARTS: u32 = 5;

/// How long the instances of a crowd may be there, all starts beside them included.
const LIFE: Duration = Duration::from_mins(2);

/// The crowd grows no further once this part of the host's memory is all that is left.
const RESERVE: u64 = 4;

/// See the module's documentation.
#[derive(Debug)]
pub struct StartBeside;

impl Experiment for StartBeside {
    fn name(&self) -> &'static str {
        NAME
    }

    fn method(&self) -> &'static str {
        "As `startup`, for the least program, beside 0, 10, 50 and 100 idle instances of the same target, which have said that \
         they are ready and wait for their standard input to end. Five starts, one after the other, are timed beside each crowd; \
         its own start and end are not. The crowd has an accounting cgroup of its own. It stops growing, and the sample fails, \
         when a quarter of the host's memory is left. A target that is slow gets fewer rounds."
    }

    fn metrics(&self) -> Vec<MetricSchema> {
        METRICS.into()
    }

    fn parts(&self, _: &str, _: &[&TargetInfo]) -> Vec<Part> {
        Vec::new()
    }

    fn idle_gap(&self, _: &str) -> Option<Duration> {
        Some(BACK_TO_BACK)
    }

    fn is_default(&self) -> bool {
        false
    }

    fn cases(&self) -> Vec<Vec<&'static str>> {
        CROWDS.iter().map(|(_, metric)| vec![metric.name]).collect()
    }

    fn applies(&self, _: usize, target: &TargetInfo) -> bool {
        target.can(Capability::RunPrograms)
    }

    fn rounds(&self, profile: Profile) -> Rounds {
        match profile {
            Profile::Quick => Rounds {
                warmup: 0,
                measured: 3,
            },
            Profile::Standard => Rounds {
                warmup: 1,
                measured: 12,
            },
            Profile::Thorough => Rounds {
                warmup: 1,
                measured: 60,
            },
        }
    }

    fn patience(&self, profile: Profile) -> Option<Duration> {
        Some(match profile {
            Profile::Quick => Duration::from_secs(5),
            Profile::Standard => Duration::from_secs(30),
            Profile::Thorough => Duration::from_mins(3),
        })
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
        crowd.end()?;
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
    let took = elapsed(metric, instance.spawned_at(), instance.ready()?)?;
    let ended = instance.finished()?;
    if let Some(group) = group {
        group.remove(ended)?;
    }
    Ok(Reading::duration(metric, took))
}

/// Idle instances, each of which was ready. Dropping it kills them; of its fields the instances go first.
struct Crowd<'r> {
    instances: Vec<Instance<'r>>,
    group: Option<Group>,
}

impl<'r> Crowd<'r> {
    fn start(running: u32, subject: &Subject, bench: &'r Bench) -> Result<Self, MeasureError> {
        let mut group = bench.accounting.map(Accounting::group).transpose()?;
        let limits = match &mut group {
            Some(group) => group.limit_directories_of(running)?,
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
            launch.limits = limits;
            let command = subject.command(&launch)?;
            if let Some(group) = &crowd.group {
                group.enter()?;
            }
            let mut instance = Instance::start(&command, Stdin::Held, LIFE, bench.interrupt)?;
            if let Some(group) = &crowd.group {
                group.leave()?;
            }
            instance.ready()?;
            crowd.instances.push(instance);
        }
        Ok(crowd)
    }

    fn end(mut self) -> Result<(), MeasureError> {
        self.instances.iter_mut().for_each(Instance::close_stdin);
        let ends = self.instances.iter_mut().map(Instance::finished);
        let ends: Vec<MonotonicTime> = ends.collect::<Result<_, InstanceError>>()?;
        // The instances are reaped before their group is removed.
        self.instances.clear();
        if let (Some(group), Some(last)) = (self.group, ends.into_iter().max()) {
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
        for ((running, metric), cases) in CROWDS.iter().zip(StartBeside.cases()) {
            assert_eq!(metric.name, format!("beside-{running}"));
            assert_eq!(cases, [metric.name]);
        }
    }
}
