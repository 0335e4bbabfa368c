//! How much is isolated, next to what that costs: what of the host's kernel a program inside can reach.
//!
//! Three looks, each at a fresh instance whose program tries every system call: from inside, which are answered, and by
//! whose kernel; from outside, which calls of the host's kernel the target makes meanwhile, launcher and all; and from
//! the VMM, for what its guest came out.

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
    Applicability, Bench, Case, Experiment, ExperimentInfo, Inclusion, MeasureError, Measured,
    MetricInfo, Parts, Reading, Rounds, Subject,
};
use crate::experiments::profile::ByProfile;
use crate::instance::marks::Count;
use crate::instance::{Instance, Stdin, unexpected};
use crate::launchers::tracer;
use crate::targets::{Capability, Marks, TargetInfo};

/// The cases, by their places.
const OUTSIDE: usize = 0;
const INSIDE: usize = 1;
const EXIT_CASE: usize = 2;

/// How long the tracer may take to say that it watches, and how often is looked.
const HEARING: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(1);

/// How the figures are measured, for a report's reader.
const METHOD: &str = "A program inside tries every system call, 0 to 511, each with arguments that it can do nothing with and in a child of its own. \
    `answered` are those that gave a result or an error about the arguments, `refused` those that failed with EPERM or \
    killed the child (SIGSYS); whoever answers is the target's kernel, or the VMM where there is none. \
    rt_sigreturn and sync are not tried, nor, without a kernel, exit and pause. `host-calls` are the different system \
    calls of the host's kernel that the target makes from the moment that this program begins, its launcher and all its \
    processes included, as ptrace sees them and by the same rule; `host-calls-made` is how many, `host-calls-whole` how many different \
    ones with the start. A virtual machine's are those that its VMM happened to need. `host-kernel` is 1 if the \
    program is told the host's boot identity, or the host kernel's name and age. `exits` are those that isobench's own VMM handled from the start on, by reason. \
    What a daemon does for a target can't be followed.";

/// See the module's documentation.
#[derive(Debug)]
pub struct Isolation {
    info: ExperimentInfo,
}

impl Isolation {
    /// The experiment, described.
    pub fn new() -> Self {
        Self {
            info: ExperimentInfo {
                inclusion: Inclusion::IfNamed,
                ..ExperimentInfo::new(
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
                        quick: Rounds::new(0, 3),
                        standard: Rounds::new(0, 6),
                        thorough: Rounds::new(0, 10),
                    },
                )
            },
        }
    }
}

impl Experiment for Isolation {
    fn info(&self) -> &ExperimentInfo {
        &self.info
    }

    fn applicability(&self, case: usize, target: &TargetInfo) -> Applicability {
        // A target of whose instances no memory can be told has their processes elsewhere.
        if case == OUTSIDE && !target.takes_part_in(memory::NAME) {
            return Applicability::Impossible(
                "a daemon starts the program, and its processes can't be followed",
            );
        }
        let counts = case != EXIT_CASE || target.can(Capability::CountExits);
        Applicability::measured_if(target.can(Capability::RunPrograms) && counts)
    }

    fn measure(
        &self,
        case: usize,
        subject: &Subject,
        bench: &Bench,
    ) -> Result<Measured, MeasureError> {
        let mut launch = bench.launch(&["--wait", "calls"]);
        launch.marks = match case {
            EXIT_CASE => Marks::PhasesAndExits,
            _ => Marks::None,
        };
        let (group, mut instance) = match case {
            OUTSIDE => bench.start_traced(subject, launch, Stdin::HeldOpen)?,
            _ => bench.start(subject, launch, Stdin::HeldOpen)?,
        };
        instance.wait_until_set_up()?;
        if case == OUTSIDE {
            watch(&mut instance)?;
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
            OUTSIDE => outside(&counts),
            INSIDE => Ok(inside(&calls, &KernelSeen::now()).into()),
            _ => exits(&counts),
        }
    }
}

/// Has the tracer count from here on, and waits until it does.
fn watch(instance: &mut Instance) -> Result<(), MeasureError> {
    // One that has ended can't be told, and what is awaited next says how.
    let _ = kill(instance.pid(), tracer::BEGIN_SIGNAL);
    let deadline = Instant::now() + HEARING;
    loop {
        let marks = instance.marks()?;
        if marks.iter().any(|mark| mark.phase == tracer::WATCHING) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(MeasureError::NotWatched);
        }
        std::thread::sleep(LOOK);
    }
}

fn number(counts: &[Count], name: &'static str) -> Result<f64, MeasureError> {
    let mut counts = counts.iter();
    let count = counts.find(|count| count.name == name);
    count.map_or(Err(MeasureError::NotCounted(name)), |count| {
        Ok(count.number as f64)
    })
}

fn outside(counts: &[Count]) -> Result<Measured, MeasureError> {
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

fn exits(counts: &[Count]) -> Result<Measured, MeasureError> {
    let each = ExitReason::ALL
        .into_iter()
        .map(|reason| Ok((reason, number(counts, reason.name())?)))
        .collect::<Result<Vec<_>, MeasureError>>()?;
    let came = || each.iter().filter(|(_, count)| *count > 0.0);
    let parts = came().map(|(reason, count)| Reading::of_part(EXITS.name, reason.name(), *count));
    let whole = [
        Reading::total(EXIT_REASONS.name, came().count() as f64),
        Reading::total(EXITS.name, came().map(|(_, count)| count).sum()),
    ];
    Ok(whole.into_iter().chain(parts).collect::<Vec<_>>().into())
}

fn inside(calls: &Calls, host: &KernelSeen) -> Vec<Reading> {
    let shared = calls.kernel.is_same(host);
    vec![
        Reading::total(ANSWERED.name, calls.answered.count().into()),
        Reading::total(REFUSED.name, calls.refused.count().into()),
        Reading::total(HOST_KERNEL.name, f64::from(u8::from(shared))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(name: &str, number: u64) -> Count {
        Count {
            name: name.to_owned(),
            number,
        }
    }

    #[test]
    fn what_came_out_adds_up_and_what_is_not_told_fails() {
        let mut counts: Vec<Count> = ExitReason::ALL
            .into_iter()
            .map(|reason| count(reason.name(), 0))
            .collect();
        counts[0].number = 500;
        counts[1].number = 2;
        let values = |readings: &[Reading]| -> Vec<(&str, String, f64)> {
            let readings = readings.iter();
            readings
                .map(|reading| (reading.metric, reading.part.clone(), reading.value))
                .collect()
        };
        let whole = "total".to_owned();
        assert_eq!(
            values(&exits(&counts).unwrap().readings),
            [
                (EXIT_REASONS.name, whole.clone(), 2.0),
                (EXITS.name, whole, 502.0),
                (EXITS.name, "port-write".to_owned(), 500.0),
                (EXITS.name, "port-read".to_owned(), 2.0),
            ]
        );
        counts.pop();
        let error = exits(&counts).unwrap_err().to_string();
        assert_eq!(error, "the launcher doesn't say how many other there were");
    }
}
