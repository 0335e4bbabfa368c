//! What is done for each way to start.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use isobench_reports::schema::start_warm::{
    COLD, FORK, FORK_MEMORY, LEAST_COLD, LEAST_POOL, NAME, POOL, RESTORE, RESTORE_FROM_DISK, ROUND,
    SNAPSHOT_SIZE, SNAPSHOT_TIME, Way,
};

use super::super::{MeasureContext, MeasureError, Reading, ReadyTarget, elapsed, nanoseconds};
use crate::host::accounting::InstanceGroup;
use crate::host::clock::MonotonicTime;
use crate::host::page_cache;
use crate::instance::marks::{HELD, TEMPLATE};
use crate::instance::{Answering, Instance, InstanceError, ProgramClone, Stdin};
use crate::targets::{Beginning, Capability};

/// The option by which the program clones itself.
const CLONES_ITSELF: &str = "--template";

/// The program that is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// The program initialises, and answers.
    Initialising,
    /// The program does nothing before its only line.
    Least,
}

impl Program {
    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Initialising => &["serve", "--touch", "16MiB", "--compute", "10"],
            Self::Least => &["ready"],
        }
    }
}

/// Where the pages of a snapshot are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SnapshotPlace {
    PageCache,
    /// The disk alone.
    Disk,
}

/// Starts everything.
pub(super) fn cold(
    target: &ReadyTarget,
    context: &MeasureContext,
) -> Result<Vec<Reading>, MeasureError> {
    let launch = context.launch(Program::Initialising.arguments());
    let delay = context.injected_delay(NAME, target);
    let (group, mut instance) =
        context.start_after(target, launch, Stdin::HeldOpen, delay, |_| Ok(()))?;
    instance.ask()?;
    let readings = answers(&COLD, instance.spawned_at(), &mut instance)?;
    end(target, group, instance)?;
    Ok(readings)
}

/// Starts a program in what waits for it.
pub(super) fn pool(
    program: Program,
    target: &ReadyTarget,
    context: &MeasureContext,
) -> Result<Vec<Reading>, MeasureError> {
    let mut launch = context.launch(program.arguments());
    launch.beginning = Beginning::Held;
    let (group, mut instance) = context.start(target, launch, Stdin::HeldOpen)?;
    instance.wait_for_mark(HELD)?;
    let readings = match program {
        Program::Initialising => {
            instance.ask()?;
            let released = instance.let_go()?;
            answers(&POOL, released, &mut instance)?
        }
        Program::Least => {
            let released = instance.let_go()?;
            vec![until_ready(LEAST_POOL.name, released, &mut instance)?]
        }
    };
    end(target, group, instance)?;
    Ok(readings)
}

/// Starts the least program.
pub(super) fn least_cold(
    target: &ReadyTarget,
    context: &MeasureContext,
) -> Result<Vec<Reading>, MeasureError> {
    let launch = context.launch(Program::Least.arguments());
    let (group, mut instance) = context.start(target, launch, Stdin::HeldOpen)?;
    let spawned = instance.spawned_at();
    let reading = until_ready(LEAST_COLD.name, spawned, &mut instance)?;
    end(target, group, instance)?;
    Ok(vec![reading])
}

/// Waits for the line of the least program.
fn until_ready(
    metric: &'static str,
    start: MonotonicTime,
    instance: &mut Instance,
) -> Result<Reading, MeasureError> {
    let ready = instance.wait_until_ready()?;
    Ok(Reading::duration(metric, elapsed(metric, start, ready)?))
}

/// Lets a program go on from a snapshot, which is made before.
pub(super) fn restore(
    place: SnapshotPlace,
    target: &ReadyTarget,
    context: &MeasureContext,
) -> Result<Vec<Reading>, MeasureError> {
    let file = context.scratch.join("snapshot");
    let _removed = Removed(&file);
    let mut readings = take_snapshot(&file, target, context)?;
    let mut launch = context.launch(Program::Initialising.arguments());
    launch.beginning = Beginning::Restored(&file);
    let delay = Duration::ZERO;
    let (group, mut instance) =
        context.start_after(target, launch, Stdin::HeldOpen, delay, |_| {
            if place == SnapshotPlace::Disk {
                page_cache::evict(std::slice::from_ref(&file))?;
            }
            Ok(())
        })?;
    instance.ask()?;
    let spawned = instance.spawned_at();
    if place == SnapshotPlace::Disk {
        let first = instance.wait_for_answer(1)?;
        let name = RESTORE_FROM_DISK.name;
        readings = vec![Reading::duration(name, elapsed(name, spawned, first)?)];
    } else {
        readings.extend(answers(&RESTORE, spawned, &mut instance)?);
    }
    end(target, group, instance)?;
    Ok(readings)
}

/// Writes the program to `file` where it first asks for input, and returns what that costs.
fn take_snapshot(
    file: &Path,
    target: &ReadyTarget,
    context: &MeasureContext,
) -> Result<Vec<Reading>, MeasureError> {
    let mut launch = context.launch(Program::Initialising.arguments());
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

/// Clones a program that has initialised.
pub(super) fn fork(
    target: &ReadyTarget,
    context: &MeasureContext,
) -> Result<Vec<Reading>, MeasureError> {
    let whole = target.info.can(Capability::CloneWhole);
    let mut arguments = Program::Initialising.arguments().to_vec();
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
    Ok(readings)
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
    use super::*;

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
}
