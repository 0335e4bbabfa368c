//! Start-up: from just before the harness clones the launcher until the workload's ready line
//! arrives, divided at the launcher's phase marks. The exit and the teardown follow.
//!
//! Two programs are started. The *least* program makes two system calls, a write and an exit, so
//! the figure shows the target itself. The *ordinary* program is the same file, but goes through
//! the start of its C library: some seventy CPUID instructions and a dozen system calls. A target
//! makes these slower, which is part of its price, and in a virtual machine may be most of it.
//!
//! The harness makes and joins the instance's accounting cgroup before the clock starts. The first
//! write to a `cgroup.procs` after an idle moment waits for an RCU grace period of up to 18 ms, and
//! this wait doesn't belong to the target.

use isobench_reports::model::TOTAL;
use isobench_reports::schema::startup::{
    CPU, EXIT, NAME, READY, READY_ORDINARY, TEARDOWN, WAITING,
};

use super::info::WORKLOAD;
use super::{
    Applicability, Case, Experiment, ExperimentInfo, MeasureContext, MeasureError, Measurement,
    MetricInfo, Parts, Reading, ReadyTarget, Rounds, elapsed, nanoseconds, waiting,
};
use crate::experiments::profile::ByProfile;
use crate::host::accounting::InstanceGroup;
use crate::host::clock::MonotonicTime;
use crate::instance::marks::Mark;
use crate::instance::{Instance, Stdin};
use crate::targets::{Capability, TargetInfo};

/// The case of the least program. The other case is that of the ordinary program.
const LEAST: usize = 0;

/// How the metrics are measured, for a report's reader.
const METHOD: &str = "The time runs from just before the harness spawns the target's command \
    until the workload's first line arrives, on the host's monotonic clock. Each sample takes a \
    fresh instance; targets follow each other in shuffled order, back to back. The least program \
    makes two system calls, so the figure shows the target itself. The ordinary program first goes \
    through the start of its C library, as most programs do. `exit` lasts from that first line \
    until the command has ended; `teardown` lasts from then until the instance's cgroup is empty \
    and removed. `cpu` is the processor time from the spawn to the end, on all CPUs together, of \
    the command and of those descendants that were waited for; `waiting` is the rest of that time. \
    Neither includes the work of a daemon. The harness makes and joins the accounting cgroup \
    before the clock starts.";

/// The experiment `startup`.
#[derive(Debug)]
pub struct Startup {
    info: ExperimentInfo,
}

impl Startup {
    /// The experiment with the rounds of each profile.
    pub fn new() -> Self {
        Self {
            info: ExperimentInfo::new(
                NAME,
                METHOD,
                [
                    MetricInfo::from(READY).in_parts(Parts::Phases),
                    MetricInfo::from(READY_ORDINARY).in_parts(Parts::Phases),
                    EXIT.into(),
                    TEARDOWN.into(),
                    CPU.into(),
                    WAITING.into(),
                ]
                .map(MetricInfo::back_to_back),
                [
                    Case::of([READY, EXIT, TEARDOWN, CPU, WAITING]),
                    Case::of([READY_ORDINARY]),
                ],
                ByProfile {
                    quick: Rounds::new(2, 25),
                    standard: Rounds::new(5, 200),
                    thorough: Rounds::new(10, 1000),
                },
            ),
        }
    }
}

impl Experiment for Startup {
    fn info(&self) -> &ExperimentInfo {
        &self.info
    }

    fn applicability(&self, case: usize, target: &TargetInfo) -> Applicability {
        Applicability::measured_if(case == LEAST || target.can(Capability::RunPrograms))
    }

    fn measure(
        &self,
        case: usize,
        target: &ReadyTarget,
        context: &MeasureContext,
    ) -> Result<Measurement, MeasureError> {
        let (metric, arguments): (_, &[&str]) = match case {
            LEAST => (READY.name, &["ready"]),
            _ => (READY_ORDINARY.name, &["ready", "--libc"]),
        };
        let launch = context.launch(arguments);
        let delay = context.injected_delay(NAME, target);
        let (group, mut instance) =
            context.start_after(target, launch, Stdin::Null, delay, |_| Ok(()))?;
        let spawned = instance.spawned_at();
        let ready = instance.wait_until_ready()?;
        let ended = instance.wait_until_exited()?;
        let marks = sorted_marks(&mut instance)?;
        let mut readings = phases(metric, spawned, &marks, ready, WORKLOAD)?;
        readings.push(Reading::duration(
            EXIT.name,
            elapsed(EXIT.name, ready, ended)?,
        ));
        let mut unavailable = Vec::new();
        if let Some(reason) = target.info.why_not(Capability::WaitForProgram) {
            let metrics = [CPU.name, WAITING.name];
            unavailable.extend(metrics.map(|metric| (metric, reason.to_owned())));
        } else if let Some(cpu_time) = instance.cpu_time() {
            let life = elapsed(WAITING.name, spawned, ended)?;
            readings.push(Reading::duration(CPU.name, cpu_time));
            readings.push(Reading::total(WAITING.name, waiting(life, cpu_time)));
        }
        if let Some(group) = group {
            readings.push(Reading::duration(TEARDOWN.name, group.remove(ended)?));
        }
        if case != LEAST {
            readings.retain(|reading| reading.metric == metric);
            unavailable.clear();
        }
        Ok(Measurement {
            readings,
            unavailable,
            ..Measurement::default()
        })
    }
}

/// Waits until `instance` has ended, and returns its start and the start's phases as readings of
/// `metric`.
pub(super) fn until_ready(
    metric: &'static str,
    group: Option<InstanceGroup>,
    mut instance: Instance,
) -> Result<Vec<Reading>, MeasureError> {
    let spawned = instance.spawned_at();
    let ready = instance.wait_until_ready()?;
    let ended = instance.wait_until_exited()?;
    let marks = sorted_marks(&mut instance)?;
    let readings = phases(metric, spawned, &marks, ready, WORKLOAD)?;
    if let Some(group) = group {
        group.remove(ended)?;
    }
    Ok(readings)
}

/// The marks in the order of time. A container's parent and child write their marks independently
/// of each other.
fn sorted_marks(instance: &mut Instance) -> Result<Vec<Mark>, MeasureError> {
    let mut marks = instance.marks()?;
    marks.sort_by_key(|mark| mark.at);
    Ok(marks)
}

/// The whole start and its phases. Each mark ends a phase; the last phase, `rest`, lasts from the
/// last mark to `ready`. Later marks belong to the exit.
pub(super) fn phases(
    metric: &'static str,
    spawned: MonotonicTime,
    marks: &[Mark],
    ready: MonotonicTime,
    rest: &str,
) -> Result<Vec<Reading>, MeasureError> {
    let whole = elapsed(TOTAL, spawned, ready)?;
    let mut readings = vec![Reading::duration(metric, whole)];
    let mut previous = spawned;
    let mut phase = |name: &str, until| -> Result<(), MeasureError> {
        let value = nanoseconds(elapsed(name, previous, until)?);
        readings.push(Reading::of_part(metric, name, value));
        previous = until;
        Ok(())
    };
    for mark in marks {
        // A launcher that passes the ready line on writes its mark before or after the harness
        // reads the line.
        if mark.phase == READY.name {
            phase(READY.name, mark.at.min(ready))?;
            break;
        }
        if mark.at > ready {
            break;
        }
        phase(&mark.phase, mark.at)?;
    }
    phase(rest, ready)?;
    Ok(readings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(phase: &str, at: u64) -> Mark {
        Mark {
            phase: phase.to_owned(),
            at: MonotonicTime::from_nanos(at),
        }
    }

    #[test]
    fn phases_add_up_to_the_whole_and_later_marks_are_left_out() {
        let marks = [mark("start", 110), mark("clone", 150), mark("exit", 900)];
        let readings = phases(
            READY.name,
            MonotonicTime::from_nanos(100),
            &marks,
            MonotonicTime::from_nanos(180),
            WORKLOAD,
        )
        .unwrap();
        let named: Vec<_> = readings
            .iter()
            .map(|r| (r.part.as_str(), r.value))
            .collect();
        assert_eq!(
            named,
            [
                (TOTAL, 80.0),
                ("start", 10.0),
                ("clone", 40.0),
                (WORKLOAD, 30.0)
            ]
        );
    }

    #[test]
    fn a_launcher_s_mark_of_the_ready_line_ends_its_phases() {
        for at in [170, 190] {
            let marks = [mark("start", 110), mark("ready", at), mark("exit", 175)];
            let from = MonotonicTime::from_nanos(100);
            let readings = phases(
                READY.name,
                from,
                &marks,
                MonotonicTime::from_nanos(180),
                WORKLOAD,
            )
            .unwrap();
            let named: Vec<_> = readings
                .iter()
                .map(|r| (r.part.as_str(), r.value))
                .collect();
            let until = at.min(180) as f64;
            assert_eq!(
                named[1..],
                [
                    ("start", 10.0),
                    ("ready", until - 110.0),
                    (WORKLOAD, 180.0 - until)
                ]
            );
        }
    }

    #[test]
    fn a_phase_of_negative_length_fails_the_sample() {
        let marks = [mark("start", 90), mark("clone", 140)];
        let error = phases(
            READY.name,
            MonotonicTime::from_nanos(100),
            &marks,
            MonotonicTime::from_nanos(180),
            WORKLOAD,
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "phase `start` ends before the previous phase ends"
        );
    }
}
