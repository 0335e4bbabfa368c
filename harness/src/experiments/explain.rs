//! What a timed command does that costs something: system calls, page faults, processes, bytes, VM
//! exits. One run of its own counts each, and none of them is timed.

use isobench_reports::schema::explain::{CALLS, EXITS, FAULTS, TASKS, TRAFFIC, of_time};
use isobench_reports::schema::memory;
use isobench_vmm::kvm::exits::ExitReason;

use super::isolation::{exits_by_reason, number};
use super::profile::ByProfile;
use super::time::{obstacle, run_once};
use super::{
    Applicability, Case, ContentsId, Experiment, ExperimentInfo, GiveUp, MeasureContext,
    MeasureError, Measurement, MetricInfo, Parts, Reading, ReadyTarget, Rounds,
};
use crate::instance::marks::Count;
use crate::launchers::tracer;
use crate::targets::{Capability, Marks, TargetInfo};
use crate::timing::command::TimedCommand;
use crate::timing::root::ResolvedProgram;

/// The cases, in order: the run under the tracer, the run whose page faults are counted, and the
/// run whose VM exits are counted.
const TRACED: usize = 0;
const EXIT_CASE: usize = 2;

/// How the metrics are measured, for a report's reader.
const METHOD: &str = "One more run of the command on each target, untimed, with everything of it \
    followed by ptrace(2): system calls to the host's kernel by name, those of the launcher \
    included; processes and threads that were started; bytes that system calls read, wrote and \
    sent. Another run counts page faults (getrusage(2)), and one more a guest's VM exits by \
    reason, as the VMM counts them.";

/// The experiment `explain`, or `explain-NAME` for a command with a name.
#[derive(Debug)]
pub struct Explain {
    info: ExperimentInfo,
    command: TimedCommand,
    program: ResolvedProgram,
}

impl Explain {
    /// The experiment that explains `command`, whose program is `program`. `contents` are those of
    /// the program's root.
    pub fn new(command: TimedCommand, program: ResolvedProgram, contents: ContentsId) -> Self {
        let exits = ExitReason::ALL.map(|reason| (reason.name(), ""));
        let metrics = [
            CALLS.into(),
            MetricInfo::from(TASKS).in_parts(Parts::named([
                ("processes", "processes that processes started"),
                ("threads", "threads that processes started"),
            ])),
            MetricInfo::from(TRAFFIC).in_parts(Parts::named([
                ("read", "bytes read from files, pipes and sockets"),
                ("written", "bytes written to files and pipes"),
                ("sent", "bytes sent by sockets"),
            ])),
            MetricInfo::from(FAULTS).in_parts(Parts::named([
                ("minor", "the page was in memory, or is new"),
                ("major", "the page came from a disk"),
            ])),
            MetricInfo::from(EXITS).in_parts(Parts::named(exits)),
        ];
        let name = of_time(&command.experiment()).unwrap_or_default();
        let info = ExperimentInfo {
            contents,
            command: Some(command.in_words()),
            give_up: GiveUp::AfterFailures(1),
            ..ExperimentInfo::new(
                name,
                METHOD,
                metrics,
                [
                    Case::of([CALLS, TASKS, TRAFFIC]),
                    Case::of([FAULTS]),
                    Case::of([EXITS]),
                ],
                ByProfile::same(Rounds::new(0, 1)),
            )
        };
        Self {
            info,
            command,
            program,
        }
    }
}

impl Experiment for Explain {
    fn info(&self) -> &ExperimentInfo {
        &self.info
    }

    fn applicability(&self, case: usize, target: &TargetInfo) -> Applicability {
        if obstacle(&self.command, &self.program, target).is_some() {
            return Applicability::NotApplicable;
        }
        // The targets that take no part in `memory` are those whose processes a daemon starts.
        let is_followed = case != TRACED || target.takes_part_in(memory::NAME);
        let counts = case != EXIT_CASE || target.can(Capability::CountExits);
        // A program that is stopped leaves the tracer's counts alone.
        let tells = case == TRACED || !self.command.stop;
        let runs = target.can(Capability::RunPrograms);
        Applicability::measured_if(runs && is_followed && counts && tells)
    }

    fn measure(
        &self,
        case: usize,
        target: &ReadyTarget,
        context: &MeasureContext,
    ) -> Result<Measurement, MeasureError> {
        let marks = match case {
            EXIT_CASE => Marks::PhasesAndExits,
            _ => Marks::None,
        };
        let is_traced = case == TRACED;
        let run = run_once(
            &self.command,
            &self.program,
            target,
            context,
            marks,
            is_traced,
        )?;
        let readings = match case {
            TRACED => traced(&run.counts)?,
            EXIT_CASE => Reading::sum_of_parts(EXITS.name, exits_by_reason(&run.counts)?),
            _ => {
                let faults = run.end.faults;
                let parts = [("minor", faults.minor), ("major", faults.major)];
                Reading::sum_of_parts(FAULTS.name, parts.map(|(part, count)| (part, count as f64)))
            }
        };
        Ok(readings.into())
    }
}

/// The readings from the tracer's counts.
fn traced(counts: &[Count]) -> Result<Vec<Reading>, MeasureError> {
    let calls = counts.iter().filter_map(|count| {
        let name = count.name.strip_prefix(tracer::CALL)?;
        Some((name.replace('-', "_"), count.number as f64))
    });
    let tasks = [
        ("processes", number(counts, tracer::PROCESSES)?),
        ("threads", number(counts, tracer::THREADS)?),
    ];
    let traffic = [
        ("read", number(counts, tracer::BYTES_READ)?),
        ("written", number(counts, tracer::BYTES_WRITTEN)?),
        ("sent", number(counts, tracer::BYTES_SENT)?),
    ];
    let mut readings = Reading::sum_of_parts(CALLS.name, calls);
    readings.extend(Reading::sum_of_parts(TASKS.name, tasks));
    readings.extend(Reading::sum_of_parts(TRAFFIC.name, traffic));
    Ok(readings)
}
