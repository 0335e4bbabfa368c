//! Ways to start a program that initialises: cold, from a pool, from a snapshot, and as a clone of a
//! template.
//!
//! Products quote starts that leave something out: the set-up that a pool has done before, the
//! program's initialisation, or the page faults that a clone serves later. So each way is measured
//! up to the first answer of the same program (the workload `serve`), and up to its hundredth. Each
//! answer reads a hundredth of the memory that the program has written to. What a start has put off
//! is the time by which the answers after the first take longer than as many later ones, which read
//! the same memory again.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use isobench_reports::schema::MetricSchema;
use isobench_reports::schema::start_warm::{
    COLD, FORK, FORK_MEMORY, METRICS, NAME, POOL, RESTORE, RESTORE_FROM_DISK, ROUND, SNAPSHOT_SIZE,
    SNAPSHOT_TIME, Way,
};

use super::{
    Applicability, Case, Experiment, ExperimentInfo, Inclusion, MeasureContext, MeasureError,
    Measurement, MetricInfo, Reading, ReadyTarget, Rounds, elapsed, nanoseconds,
};
use crate::experiments::profile::ByProfile;
use crate::host::accounting::InstanceGroup;
use crate::host::clock::MonotonicTime;
use crate::host::page_cache;
use crate::host::session::Medium;
use crate::instance::marks::{HELD, TEMPLATE};
use crate::instance::{Answering, Instance, InstanceError, ProgramClone, Stdin};
use crate::targets::{Beginning, Capability, TargetInfo};

/// What the program does before its first answer.
const PROGRAM: [&str; 5] = ["serve", "--touch", "16MiB", "--compute", "10"];
/// The option by which the program clones itself.
const CLONES_ITSELF: &str = "--template";

/// The cases, in order.
const COLD_CASE: usize = 0;
const POOL_CASE: usize = 1;
const RESTORE_CASE: usize = 2;
const RESTORE_FROM_DISK_CASE: usize = 3;

/// How the metrics are measured, for a report's reader.
const METHOD: &str = "The program writes to 16 MiB, computes for 10 ms, and answers one line for \
    each line it reads; each answer reads another hundredth of the 16 MiB. `cold` runs from just \
    before the harness spawns the target's command until the first answer has been read. `pool`: \
    the launcher has set all up and waits with the program's start; the time runs from just before \
    the word that lets the launcher go on. `restore`: the program has initialised, and its memory \
    and registers are in a file; the time runs from just before the spawn of the command that goes \
    on from there. The file is in the page cache, and for `restore-disk` on the disk alone, which is \
    verified. `fork`: the program has initialised and waits for its \
    first line; the time runs from just before the request for a clone. The clone of a VM without \
    a guest OS is a process and a VM of its own, which share memory with the template until they \
    change it. Elsewhere the program clones itself by fork(2), and the clone shares all around it \
    with the template: namespaces, root, cgroup. `-100` runs up to the hundredth answer. `-tail` is \
    the time of answers 2 to 100 minus the time of answers 102 to 200. `fork-memory` is what the \
    instance's cgroup is charged with more after the first answer of one clone.";

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
                    [
                        Case::of(times(&COLD)),
                        Case::of(times(&POOL)),
                        Case::of(times(&RESTORE).chain([SNAPSHOT_SIZE, SNAPSHOT_TIME])),
                        Case::of([RESTORE_FROM_DISK]),
                        Case::of(times(&FORK).chain([FORK_MEMORY])),
                    ],
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

/// The times of which a way gives values.
fn times(way: &Way) -> impl Iterator<Item = MetricSchema> + use<> {
    [way.first, way.hundredth, way.tail].into_iter()
}

impl Experiment for StartWarm {
    fn info(&self) -> &ExperimentInfo {
        &self.info
    }

    fn applicability(&self, case: usize, target: &TargetInfo) -> Applicability {
        if !target.can(Capability::RunPrograms) || !target.can(Capability::PassEndOfInput) {
            return Applicability::NotApplicable;
        }
        let needed = match case {
            COLD_CASE => return Applicability::Measured,
            POOL_CASE => Capability::HoldBeforeProgram,
            RESTORE_CASE | RESTORE_FROM_DISK_CASE => Capability::KeepSnapshots,
            // A program that gets the harness's own descriptors can be asked for clones of itself.
            _ if target.can(Capability::PassDescriptors) => return Applicability::Measured,
            _ => Capability::CloneWhole,
        };
        match target.why_not(needed) {
            None => Applicability::Measured,
            Some(reason) => Applicability::Impossible(reason.to_owned().into()),
        }
    }

    fn measure(
        &self,
        case: usize,
        target: &ReadyTarget,
        context: &MeasureContext,
    ) -> Result<Measurement, MeasureError> {
        match case {
            COLD_CASE => cold(target, context),
            POOL_CASE => pool(target, context),
            RESTORE_CASE | RESTORE_FROM_DISK_CASE => restore(case, target, context),
            _ => fork(target, context),
        }
    }
}

fn cold(target: &ReadyTarget, context: &MeasureContext) -> Result<Measurement, MeasureError> {
    let launch = context.launch(&PROGRAM);
    let delay = context.injected_delay(NAME, target);
    let (group, mut instance) =
        context.start_after(target, launch, Stdin::HeldOpen, delay, |_| Ok(()))?;
    instance.ask()?;
    let readings = answers(&COLD, instance.spawned_at(), &mut instance)?;
    end(target, group, instance)?;
    Ok(readings.into())
}

fn pool(target: &ReadyTarget, context: &MeasureContext) -> Result<Measurement, MeasureError> {
    let mut launch = context.launch(&PROGRAM);
    launch.beginning = Beginning::Held;
    let (group, mut instance) = context.start(target, launch, Stdin::HeldOpen)?;
    instance.wait_for_mark(HELD)?;
    instance.ask()?;
    let released = instance.let_go()?;
    let readings = answers(&POOL, released, &mut instance)?;
    end(target, group, instance)?;
    Ok(readings.into())
}

fn restore(
    case: usize,
    target: &ReadyTarget,
    context: &MeasureContext,
) -> Result<Measurement, MeasureError> {
    let file = context.scratch.join("snapshot");
    let _removed = Removed(&file);
    let mut readings = take_snapshot(&file, target, context)?;
    let mut launch = context.launch(&PROGRAM);
    launch.beginning = Beginning::Restored(&file);
    let delay = Duration::ZERO;
    let (group, mut instance) =
        context.start_after(target, launch, Stdin::HeldOpen, delay, |_| {
            if case == RESTORE_FROM_DISK_CASE {
                page_cache::evict(std::slice::from_ref(&file))?;
            }
            Ok(())
        })?;
    instance.ask()?;
    let spawned = instance.spawned_at();
    if case == RESTORE_FROM_DISK_CASE {
        let first = instance.wait_for_answer(1)?;
        let name = RESTORE_FROM_DISK.name;
        readings = vec![Reading::duration(name, elapsed(name, spawned, first)?)];
    } else {
        readings.extend(answers(&RESTORE, spawned, &mut instance)?);
    }
    end(target, group, instance)?;
    Ok(readings.into())
}

/// Writes the program to `file` where it first asks for input, and returns what that costs.
fn take_snapshot(
    file: &Path,
    target: &ReadyTarget,
    context: &MeasureContext,
) -> Result<Vec<Reading>, MeasureError> {
    let mut launch = context.launch(&PROGRAM);
    launch.beginning = Beginning::Snapshot(file);
    let (group, mut instance) = context.start(target, launch, Stdin::Null)?;
    let ended = instance.wait_until_exited()?;
    let marks = instance.marks()?;
    let stopped = marks.iter().find(|mark| mark.phase == TEMPLATE);
    if let Some(group) = group {
        group.remove(ended)?;
    }
    let mut readings = Vec::new();
    if let Some(stopped) = stopped {
        let name = SNAPSHOT_TIME.name;
        readings.push(Reading::duration(name, elapsed(name, stopped.at, ended)?));
    }
    if let Ok(metadata) = file.metadata() {
        readings.push(Reading::total(SNAPSHOT_SIZE.name, metadata.len() as f64));
    }
    Ok(readings)
}

/// A file that is removed in the end.
struct Removed<'f>(&'f Path);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        // The run removes the directory anyway.
        let _ = std::fs::remove_file(self.0);
    }
}

fn fork(target: &ReadyTarget, context: &MeasureContext) -> Result<Measurement, MeasureError> {
    let whole = target.info.can(Capability::CloneWhole);
    let mut arguments = PROGRAM.to_vec();
    arguments.extend((!whole).then_some(CLONES_ITSELF));
    let mut launch = context.launch(&arguments);
    if whole {
        launch.beginning = Beginning::Template;
    }
    let (group, mut instance) = context.start(target, launch, Stdin::Requests)?;
    if whole {
        instance.wait_for_mark(TEMPLATE)?;
    } else {
        instance.wait_until_set_up()?;
    }
    // The template's own pages become shared at its first clone, which is done once and not for each.
    answer_once(instance.make_clone()?)?;
    let mut clone = instance.make_clone()?;
    let requested = clone.requested_at();
    let mut readings = answers(&FORK, requested, &mut clone)?;
    clone.end()?;
    if let Some(group) = &group {
        let before = group.memory_now()?;
        let mut clone = instance.make_clone()?;
        clone.wait_for_answer(1)?;
        let more = group.memory_now()?.as_u64() as f64 - before.as_u64() as f64;
        readings.push(Reading::total(FORK_MEMORY.name, more));
        clone.end()?;
    }
    end(target, group, instance)?;
    Ok(readings.into())
}

fn answer_once(mut clone: ProgramClone) -> Result<(), InstanceError> {
    clone.wait_for_answer(1)?;
    clone.end().map(drop)
}

/// Waits for the first answer, which has been asked for, and for two hundred in all.
fn answers(
    way: &Way,
    start: MonotonicTime,
    program: &mut impl Answering,
) -> Result<Vec<Reading>, MeasureError> {
    let first = program.wait_for_answer(1)?;
    let hundredth = ask_up_to(program, 2..=ROUND)?;
    let next = ask_up_to(program, ROUND + 1..=ROUND + 1)?;
    let last = ask_up_to(program, ROUND + 2..=2 * ROUND)?;
    let put_off = nanoseconds(elapsed(way.tail.name, first, hundredth)?)
        - nanoseconds(elapsed(way.tail.name, next, last)?);
    Ok(vec![
        Reading::duration(way.first.name, elapsed(way.first.name, start, first)?),
        Reading::duration(
            way.hundredth.name,
            elapsed(way.hundredth.name, start, hundredth)?,
        ),
        Reading::total(way.tail.name, put_off),
    ])
}

/// Asks for each of the answers with these `numbers`, one after the other, and returns the time of
/// the last.
fn ask_up_to(
    program: &mut impl Answering,
    numbers: RangeInclusive<u64>,
) -> Result<MonotonicTime, InstanceError> {
    let mut at = MonotonicTime::now();
    for number in numbers {
        program.ask()?;
        at = program.wait_for_answer(number)?;
    }
    Ok(at)
}

/// Ends an instance whose input is a pipe or the socket of a template.
fn end(
    target: &ReadyTarget,
    group: Option<InstanceGroup>,
    instance: Instance,
) -> Result<(), MeasureError> {
    let ended = target.end_idle_instances(vec![instance])?;
    if let Some(group) = group {
        group.remove(ended)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use isobench_reports::model::{TargetFamily, TargetKind};

    use super::*;
    use crate::targets::Capabilities;

    /// A program whose answers take their number in microseconds up to the hundredth, and one
    /// microsecond from then on.
    struct Slow {
        now: u64,
    }

    impl Answering for Slow {
        fn ask(&self) -> Result<(), InstanceError> {
            Ok(())
        }

        fn wait_for_answer(&mut self, number: u64) -> Result<MonotonicTime, InstanceError> {
            self.now += if number <= ROUND { number * 1000 } else { 1000 };
            Ok(MonotonicTime::from_nanos(self.now))
        }
    }

    #[test]
    fn the_tail_is_what_the_first_hundred_answers_take_longer() {
        let mut program = Slow { now: 500 };
        let readings = answers(&COLD, MonotonicTime::from_nanos(0), &mut program).unwrap();
        let values: Vec<_> = readings.iter().map(|r| (r.metric, r.value)).collect();
        let whole: u64 = (1..=100).sum::<u64>() * 1000;
        assert_eq!(
            values,
            [
                ("cold", 1500.0),
                ("cold-100", (500 + whole) as f64),
                ("cold-tail", (whole - 1000) as f64 - 99_000.0),
            ]
        );
    }

    #[test]
    fn what_a_target_lacks_is_named() {
        let experiment = StartWarm::new();
        let target = TargetInfo {
            capabilities: Capabilities::OF_MOST_PEERS,
            ..TargetInfo::new(TargetKind::Peer, TargetFamily::Container, "peer", "a peer")
        };
        assert_eq!(
            experiment.applicability(COLD_CASE, &target),
            Applicability::Measured
        );
        for case in POOL_CASE..=RESTORE_FROM_DISK_CASE + 1 {
            let applicability = experiment.applicability(case, &target);
            assert!(
                matches!(applicability, Applicability::Impossible(_)),
                "{applicability:?}"
            );
        }
    }
}
