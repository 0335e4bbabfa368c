//! How well targets isolate: how much of the host's kernel a program inside can reach.
//!
//! Three cases look at fresh instances whose program tries every system call. From inside, the
//! program counts the calls that are answered, and finds out whose kernel answers. From outside,
//! the tracer counts the system calls to the host's kernel that the target makes meanwhile, those
//! of its launcher included. The VMM counts the exits of its guest by reason.

use std::time::{Duration, Instant};

use isobench_reports::schema::isolation::{
    ANSWERED, EXIT_REASONS, EXITS, HOST_CALLS, HOST_CALLS_MADE, HOST_CALLS_WHOLE, HOST_KERNEL,
    METRICS, NAME, REFUSED,
};
use isobench_reports::schema::memory;
use isobench_vmm::kvm::exits::ExitReason;
use isobench_workloads::calls::{Calls, KernelSeen};
use isobench_workloads::protocol::Message;
use nix::sys::signal::kill;

use super::{
    Applicability, Case, Experiment, ExperimentInfo, MeasureContext, MeasureError, Measurement,
    MetricInfo, Parts, Reading, ReadyTarget, Rounds,
};
use crate::experiments::profile::ByProfile;
use crate::instance::marks::Count;
use crate::instance::{Instance, Stdin, unexpected};
use crate::launchers::tracer;
use crate::targets::{Capability, Marks, TargetInfo};

/// The index of the case in which the tracer counts calls to the host's kernel.
const OUTSIDE: usize = 0;
/// The index of the case in which the program inside counts answered calls.
const INSIDE: usize = 1;
/// The index of the case in which the VMM counts exits.
const EXIT_CASE: usize = 2;

/// How long the tracer may take to confirm that it counts.
const TRACER_LIMIT: Duration = Duration::from_secs(5);
/// The time between two looks for the tracer's confirmation.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// How the metrics are measured, for a report's reader.
const METHOD: &str = "A program inside tries every system call from 0 to 511, each in a child of \
    its \
    own and with arguments that can have no effect. `answered` counts the calls that returned a \
    result or an error about the arguments; `refused` counts those that failed with EPERM or \
    killed \
    the child (SIGSYS). The target's kernel answers, or the VMM if the target has no kernel. \
    rt_sigreturn and sync are not tried; without a kernel, exit and pause aren't either. \
    `host-calls` counts the different system calls to the host's kernel that the target makes from \
    the moment at which the program begins. ptrace counts them, for the launcher and all processes \
    of the target, by the same rule. `host-calls-made` is the number of all these calls; \
    `host-calls-whole` counts the different calls with the start included. A virtual machine's \
    calls are those that its VMM happened to need. `host-kernel` is 1 if the program sees the \
    host's boot identity, or the host kernel's name and age. `exits` counts the VM exits that \
    isobench's own VMM handled from the start on, by reason. The work of a daemon for a target \
    can't be traced.";

/// The experiment `isolation`.
#[derive(Debug)]
pub struct Isolation {
    info: ExperimentInfo,
}

impl Isolation {
    pub fn new() -> Self {
        Self {
            info: ExperimentInfo::new(
                NAME,
                METHOD,
                METRICS.map(|metric| {
                    if metric != EXITS {
                        return MetricInfo::from(metric);
                    }
                    let reasons = ExitReason::ALL.iter();
                    MetricInfo::from(metric).in_parts(Parts::named(
                        reasons.map(|reason| (reason.name(), reason.explanation())),
                    ))
                }),
                [
                    Case::of([HOST_CALLS, HOST_CALLS_MADE, HOST_CALLS_WHOLE]),
                    Case::of([ANSWERED, REFUSED, HOST_KERNEL]),
                    Case::of([EXIT_REASONS, EXITS]),
                ],
                ByProfile {
                    quick: Rounds::new(0, 1),
                    standard: Rounds::new(0, 3),
                    thorough: Rounds::new(0, 10),
                },
            ),
        }
    }
}

impl Experiment for Isolation {
    fn info(&self) -> &ExperimentInfo {
        &self.info
    }

    fn applicability(&self, case: usize, target: &TargetInfo) -> Applicability {
        // The targets that take no part in `memory` are those whose processes a daemon starts.
        if case == OUTSIDE && !target.takes_part_in(memory::NAME) {
            return Applicability::Impossible(
                "a daemon starts the program, and the daemon's processes can't be traced".into(),
            );
        }
        if case == OUTSIDE
            && let Some(reason) = target.why_not(Capability::BeTraced)
        {
            return Applicability::Impossible(reason.into());
        }
        let counts = case != EXIT_CASE || target.can(Capability::CountExits);
        Applicability::measured_if(target.can(Capability::RunPrograms) && counts)
    }

    fn measure(
        &self,
        case: usize,
        target: &ReadyTarget,
        context: &MeasureContext,
    ) -> Result<Measurement, MeasureError> {
        let mut launch = context.launch(&["--wait", "calls"]);
        launch.marks = match case {
            EXIT_CASE => Marks::PhasesAndExits,
            _ => Marks::None,
        };
        let (group, mut instance) = match case {
            OUTSIDE => context.start_traced(target, launch, Stdin::HeldOpen)?,
            _ => context.start(target, launch, Stdin::HeldOpen)?,
        };
        instance.wait_until_set_up()?;
        if case == OUTSIDE {
            begin_counting(&mut instance)?;
        }
        instance.release()?;
        let calls = match instance.next_message("calls line")? {
            (Message::Calls(calls), _) => calls,
            (other, _) => return Err(unexpected(&other, "calls line").into()),
        };
        let ended = instance.wait_until_exited()?;
        let counts = instance.counts()?;
        if let Some(group) = group {
            group.remove(ended)?;
        }
        match case {
            OUTSIDE => host_calls(&counts),
            INSIDE => Ok(answered_calls(&calls, &KernelSeen::now()).into()),
            _ => exits(&counts),
        }
    }
}

/// Has the tracer count from here on, and waits for the tracer's confirmation.
fn begin_counting(instance: &mut Instance) -> Result<(), MeasureError> {
    // The signal fails if the instance has ended. The next wait then says how it ended.
    let _ = kill(instance.pid(), tracer::BEGIN_SIGNAL);
    let deadline = Instant::now() + TRACER_LIMIT;
    loop {
        let marks = instance.marks()?;
        if marks.iter().any(|mark| mark.phase == tracer::WATCHING) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(MeasureError::NotWatched);
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// The number of the count `name`.
pub(super) fn number(counts: &[Count], name: &'static str) -> Result<f64, MeasureError> {
    let mut counts = counts.iter();
    let count = counts.find(|count| count.name == name);
    count.map_or(Err(MeasureError::NotCounted(name)), |count| {
        Ok(count.number as f64)
    })
}

/// The readings from the tracer's counts.
fn host_calls(counts: &[Count]) -> Result<Measurement, MeasureError> {
    let counted = [
        (HOST_CALLS.name, tracer::DIFFERENT_CALLS),
        (HOST_CALLS_MADE.name, tracer::CALLS),
        (HOST_CALLS_WHOLE.name, tracer::DIFFERENT_CALLS_WITH_START),
    ];
    let readings = counted
        .into_iter()
        .map(|(metric, name)| Ok(Reading::total(metric, number(counts, name)?)));
    Ok(readings.collect::<Result<Vec<_>, MeasureError>>()?.into())
}

/// The readings from the VMM's counts of exits.
fn exits(counts: &[Count]) -> Result<Measurement, MeasureError> {
    let occurred = exits_by_reason(counts)?;
    let mut readings = vec![Reading::total(EXIT_REASONS.name, occurred.len() as f64)];
    readings.extend(Reading::sum_of_parts(EXITS.name, occurred));
    Ok(readings.into())
}

/// How often each reason for an exit has occurred. Reasons that haven't occurred are left out.
pub(super) fn exits_by_reason(counts: &[Count]) -> Result<Vec<(&'static str, f64)>, MeasureError> {
    let all = ExitReason::ALL.into_iter();
    let each = all.map(|reason| Ok((reason.name(), number(counts, reason.name())?)));
    let mut each = each.collect::<Result<Vec<_>, MeasureError>>()?;
    each.retain(|(_, count)| *count > 0.0);
    Ok(each)
}

/// The readings from the calls that the program inside has tried. `host` is the kernel as the
/// harness sees it.
fn answered_calls(calls: &Calls, host: &KernelSeen) -> Vec<Reading> {
    let is_host_kernel = calls.kernel.is_same(host);
    vec![
        Reading::total(ANSWERED.name, calls.answered.count().into()),
        Reading::total(REFUSED.name, calls.refused.count().into()),
        Reading::total(HOST_KERNEL.name, f64::from(u8::from(is_host_kernel))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A count of 0 for each reason.
    fn no_exits() -> Vec<Count> {
        let reasons = ExitReason::ALL.into_iter();
        reasons
            .map(|reason| Count {
                name: reason.name().to_owned(),
                number: 0,
            })
            .collect()
    }

    #[test]
    fn the_total_of_exits_is_the_sum_over_the_reasons() {
        let mut counts = no_exits();
        counts[0].number = 500;
        counts[1].number = 2;
        let values = |readings: &[Reading]| -> Vec<(&str, String, f64)> {
            let readings = readings.iter();
            readings
                .map(|reading| (reading.metric, reading.part.clone(), reading.value))
                .collect()
        };
        let total = "total".to_owned();
        assert_eq!(
            values(&exits(&counts).unwrap().readings),
            [
                (EXIT_REASONS.name, total.clone(), 2.0),
                (EXITS.name, total, 502.0),
                (EXITS.name, "port-write".to_owned(), 500.0),
                (EXITS.name, "port-read".to_owned(), 2.0),
            ]
        );
    }

    #[test]
    fn a_missing_count_fails_the_sample() {
        let mut counts = no_exits();
        counts.pop();
        let error = exits(&counts).unwrap_err().to_string();
        assert_eq!(error, "the launcher doesn't report its count of `other`");
    }
}
