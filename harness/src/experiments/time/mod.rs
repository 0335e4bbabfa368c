//! The user's own command, timed from its start until it is ready, and until its end.

mod probe;
mod reach;
mod sample;
mod start;

pub(super) use sample::run_once;

use std::borrow::Cow;

use isobench_reports::model::TargetFamily;
use isobench_reports::schema::MetricSchema;
use isobench_reports::schema::time::{AT_READY, END, PEAK, READY, SYSTEM, TEARDOWN, USER};

use self::reach::Way;
use super::{
    Applicability, Case, ContentsId, Experiment, ExperimentInfo, GiveUp, MeasureContext,
    MeasureError, Measurement, MetricInfo, Parts, ReadyTarget, Rounds,
};
use crate::experiments::profile::ByProfile;
use crate::targets::{Capability, TargetInfo};
use crate::timing::command::TimedCommand;
use crate::timing::root::ResolvedProgram;

/// How many samples of a target in a row may fail. After that, no more are taken.
const MAX_FAILED: u32 = 3;

/// The experiment `time`, or `time-NAME` for a command with a name.
#[derive(Debug)]
pub struct Time {
    info: ExperimentInfo,
    command: TimedCommand,
    program: ResolvedProgram,
}

impl Time {
    /// The experiment that measures `command`, whose program is `program`. `contents` are those of
    /// the program's root.
    pub fn new(command: TimedCommand, program: ResolvedProgram, contents: ContentsId) -> Self {
        let schemas = metrics(&command);
        let metrics: Vec<_> = schemas
            .iter()
            .map(|metric| describe(*metric, &command))
            .collect();
        let info = ExperimentInfo {
            contents,
            command: Some(command.in_words()),
            give_up: GiveUp::AfterFailures(MAX_FAILED),
            time_per_target: command.time_per_target.map(ByProfile::same),
            ..ExperimentInfo::new(
                command.experiment(),
                method(&command),
                metrics,
                [Case::of(schemas)],
                ByProfile::same(Rounds::new(command.warmup, command.runs)),
            )
        };
        Self {
            info,
            command,
            program,
        }
    }
}

/// Why `command`, whose program is `program`, can't be measured on `target`; `None` if it can.
pub(super) fn obstacle(
    command: &TimedCommand,
    program: &ResolvedProgram,
    target: &TargetInfo,
) -> Option<Cow<'static, str>> {
    if let Some(reason) = &program.needs_more
        && target.family != TargetFamily::Process
    {
        return Some(
            format!(
                "the program {reason}, and its root has nothing else: give --image or --root, or \
                 build the program static"
            )
            .into(),
        );
    }
    let words = program.arguments.iter().chain(&program.environment);
    if let Some(reason) = target.why_not_words(words) {
        return Some(reason.into());
    }
    if command.memory.is_some() && target.memory_limit.is_none() {
        return Some("it can't limit memory: leave the memory out".into());
    }
    if command.cpus.is_some()
        && let Some(reason) = target.why_not(Capability::LimitResources)
    {
        return Some(format!("no limit on processors: {reason}").into());
    }
    if command.input.is_some()
        && let Some(reason) = target.why_not(Capability::PassEndOfInput)
    {
        return Some(reason.into());
    }
    if !command.keep_going
        && !command.stop
        && let Some(reason) = target.why_not(Capability::PassFailure)
    {
        return Some(format!("{reason}: give --keep-going").into());
    }
    network_obstacle(command, target)
}

fn network_obstacle(command: &TimedCommand, target: &TargetInfo) -> Option<Cow<'static, str>> {
    if let Some(network) = command.network
        && !target.networks.contains(&network)
    {
        let networks: Vec<_> = target.networks.iter().map(|known| known.name()).collect();
        let (wanted, offered) = (network.name(), networks.join(", "));
        return Some(format!("it has no network {wanted}, but {offered}").into());
    }
    command.ready.port()?;
    let reason = match Way::to(target, command.network) {
        Some(way) => way.obstacle(target, command.network)?,
        None => "isobench gives it no network",
    };
    Some(reason.into())
}

/// The metrics of `command`, the most important first.
fn metrics(command: &TimedCommand) -> Vec<MetricSchema> {
    let is_before_end = command.ready.is_before_end();
    let mut metrics = Vec::new();
    metrics.extend(is_before_end.then_some(READY));
    // The processor time of a program that is killed with its launcher is nobody's to tell.
    if !command.stop {
        metrics.extend([END, USER, SYSTEM]);
    }
    metrics.push(PEAK);
    metrics.extend(is_before_end.then_some(AT_READY));
    metrics.push(TEARDOWN);
    metrics
}

fn describe(metric: MetricSchema, command: &TimedCommand) -> MetricInfo {
    let info = MetricInfo::from(metric).back_to_back();
    let leading = if command.ready.is_before_end() {
        READY
    } else {
        END
    };
    if metric != leading {
        return info;
    }
    let info = info.in_parts(Parts::PhasesOfProgram);
    if command.ready.port().is_some() {
        info.polled_each(probe::PERIOD)
    } else {
        info
    }
}

/// How the metrics are measured, for a report's reader.
fn method(command: &TimedCommand) -> String {
    let mut sentences: Vec<Cow<str>> = vec![
        "The time runs from just before the harness spawns the target's command, on the host's \
         monotonic clock."
            .into(),
        "Each sample takes a fresh instance; targets follow each other in shuffled order.".into(),
    ];
    let condition = &command.ready;
    if condition.is_before_end() {
        sentences
            .push(format!("The program is ready when the condition `{condition}` holds.").into());
    }
    if condition.port().is_some() {
        let period = probe::PERIOD;
        let sentence = format!(
            "The harness tries the port every {period:?}, from inside the instance's network \
             namespace."
        );
        sentences.push(sentence.into());
    }
    let ending = if command.stop {
        "Then all processes of the instance are killed; `teardown` lasts from the kill until the \
         instance's cgroup is empty and removed."
    } else {
        "The end is the end of the command that starts the instance; `teardown` lasts from then \
         until the instance's cgroup is empty and removed. `user` and `system` are processor time \
         of the command and of those descendants that were waited for."
    };
    let memory = "Peak memory and memory at ready are what the kernel had charged to the instance's \
         cgroup, launcher and guest included; the kernel charges in advance, up to 64 pages a CPU \
         for each cgroup. The instance's cgroup and files are made before the clock starts.";
    sentences.extend([ending.into(), memory.into()]);
    sentences.join(" ")
}

impl Experiment for Time {
    fn info(&self) -> &ExperimentInfo {
        &self.info
    }

    fn applicability(&self, _: usize, target: &TargetInfo) -> Applicability {
        match obstacle(&self.command, &self.program, target) {
            Some(reason) => Applicability::Impossible(reason),
            None => Applicability::measured_if(target.can(Capability::RunPrograms)),
        }
    }

    fn measure(
        &self,
        _: usize,
        target: &ReadyTarget,
        context: &MeasureContext,
    ) -> Result<Measurement, MeasureError> {
        sample::take(&self.command, &self.program, target, context)
    }
}
