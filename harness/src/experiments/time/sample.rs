//! One sample of a timed command: one fresh instance, from before its start until its cgroup is
//! removed.

use std::time::Instant;

use bytesize::ByteSize;
use isobench_reports::schema::memory;
use isobench_reports::schema::time::{AT_READY, END, PEAK, READY, SYSTEM, TEARDOWN, USER};

use super::probe::{PERIOD, Probe};
use super::reach::Way;
use super::start::{launch, start};
use crate::experiments::info::PROGRAM;
use crate::experiments::startup::phases;
use crate::experiments::{
    MeasureContext, MeasureError, Measurement, Reading, ReadyTarget, elapsed,
};
use crate::host::accounting::InstanceGroup;
use crate::host::clock::MonotonicTime;
use crate::instance::marks::Count;
use crate::instance::reap::Ending;
use crate::instance::timed::{End, TimedError, TimedInstance};
use crate::targets::{Capability, Marks, TargetInfo};
use crate::timing::command::TimedCommand;
use crate::timing::root::ResolvedProgram;

/// Takes a sample of `command` on `target`.
pub(super) fn take(
    command: &TimedCommand,
    program: &ResolvedProgram,
    target: &ReadyTarget,
    context: &MeasureContext,
) -> Result<Measurement, MeasureError> {
    let launch = launch(command, program, &target.info, Marks::Phases);
    let started = start(command, launch, target, context, |command| command)?;
    let (group, mut sample) = RunningSample::of(started, command, target);
    let ended = sample.follow(group.as_ref())?;
    sample.remove_group(group, ended)?;
    Ok(sample.measurement)
}

/// An untimed run of a command.
pub(in crate::experiments) struct UntimedRun {
    /// The end of the run.
    pub end: End,
    /// What the launcher or the tracer has counted.
    pub counts: Vec<Count>,
}

/// Runs `command` on `target` once, until it has ended, or until it is ready if it is to be stopped
/// then.
pub(in crate::experiments) fn run_once(
    command: &TimedCommand,
    program: &ResolvedProgram,
    target: &ReadyTarget,
    context: &MeasureContext,
    marks: Marks,
    is_traced: bool,
) -> Result<UntimedRun, MeasureError> {
    let launch = launch(command, program, &target.info, marks);
    let started = start(command, launch, target, context, |command| {
        if is_traced {
            command.traced_by(context.tracer, &["--each-call"])
        } else {
            command
        }
    })?;
    let (group, mut sample) = RunningSample::of(started, command, target);
    let end = if command.stop {
        sample.wait_until_ready(group.as_ref())?;
        // The tracer writes its counts when it is asked to end.
        sample.instance.terminate()?
    } else {
        sample.wait_until_ended()?
    };
    let counts = sample.instance.counts()?;
    if let Some(group) = group {
        group.kill_all()?;
        group.remove(end.at)?;
    }
    Ok(UntimedRun { end, counts })
}

/// A sample whose instance has been started.
struct RunningSample<'s> {
    command: &'s TimedCommand,
    target: &'s TargetInfo,
    instance: TimedInstance<'s>,
    measurement: Measurement,
}

impl<'s> RunningSample<'s> {
    /// A sample of an instance that has just been started, and the instance's group.
    fn of(
        (group, instance): (Option<InstanceGroup>, TimedInstance<'s>),
        command: &'s TimedCommand,
        target: &'s ReadyTarget,
    ) -> (Option<InstanceGroup>, Self) {
        let sample = Self {
            command,
            target: &target.info,
            instance,
            measurement: Measurement::default(),
        };
        (group, sample)
    }

    /// Waits for all that the sample waits for, and measures it. Returns the time of the end. The
    /// instance is dropped before its group: the instance reaps its processes, while the group would
    /// only kill them.
    fn follow(&mut self, group: Option<&InstanceGroup>) -> Result<MonotonicTime, MeasureError> {
        let spawned = self.instance.spawned_at();
        if self.command.ready.is_before_end() {
            let ready = self.wait_until_ready(group)?;
            self.read_memory_at_ready(group);
            let marks = self.instance.marks()?;
            self.add(phases(READY.name, spawned, &marks, ready, PROGRAM)?);
        }
        if self.command.stop {
            return self.stop(group);
        }
        let end = self.wait_until_ended()?;
        self.add_end(end)?;
        Ok(end.at)
    }

    fn add(&mut self, readings: impl IntoIterator<Item = Reading>) {
        self.measurement.readings.extend(readings);
    }

    fn wait_until_ready(
        &mut self,
        group: Option<&InstanceGroup>,
    ) -> Result<MonotonicTime, MeasureError> {
        let result = match Probe::new(&self.command.ready) {
            Some(probe) => self.wait_for_port(probe, group),
            None => self.wait_for_line(),
        };
        result.map_err(|error| match error {
            TimedError::Timeout { limit } => TimedError::NotReady {
                condition: self.command.ready.to_string(),
                limit,
                stderr: self.instance.stderr(),
            }
            .into(),
            other => other.into(),
        })
    }

    fn wait_for_line(&mut self) -> Result<MonotonicTime, TimedError> {
        loop {
            if let Some(at) = self.instance.line_at() {
                return Ok(at);
            }
            self.check_alive()?;
            self.instance.wait(None, None)?;
        }
    }

    fn wait_for_port(
        &mut self,
        mut probe: Probe,
        group: Option<&InstanceGroup>,
    ) -> Result<MonotonicTime, TimedError> {
        // A target without a way isn't measured.
        let way = Way::to(self.target, self.command.network).unwrap_or(Way::Host);
        let mut reach = way.reach()?;
        loop {
            self.check_alive()?;
            reach.look(group);
            if let Some(place) = reach.place() {
                if let Some(at) = probe.step(place)? {
                    return Ok(at);
                }
                let (socket, until) = probe.awaited();
                self.instance.wait(socket, Some(until))?;
            } else {
                self.instance.wait(None, Some(Instant::now() + PERIOD))?;
            }
        }
    }

    /// Checks that the instance hasn't ended before it was ready.
    fn check_alive(&self) -> Result<(), TimedError> {
        match self.instance.end() {
            None => Ok(()),
            Some(end) => Err(TimedError::EndedEarly {
                ending: self.instance.describe(end.ending),
                condition: self.command.ready.to_string(),
                stderr: self.instance.stderr(),
            }),
        }
    }

    fn wait_until_ended(&mut self) -> Result<End, TimedError> {
        let is_ready = self.command.ready.is_before_end();
        let end = self
            .instance
            .wait_until_ended()
            .map_err(|error| match error {
                TimedError::Timeout { limit } if is_ready => TimedError::NotEnded { limit },
                other => other,
            })?;
        if end.ending == Ending::Code(0) || self.command.keep_going {
            return Ok(end);
        }
        Err(TimedError::Failed {
            ending: self.instance.describe(end.ending),
            stderr: self.instance.stderr(),
        })
    }

    fn add_end(&mut self, end: End) -> Result<(), MeasureError> {
        let spawned = self.instance.spawned_at();
        if self.command.ready.is_before_end() {
            let life = elapsed(END.name, spawned, end.at)?;
            self.add([Reading::duration(END.name, life)]);
        } else {
            let marks = self.instance.marks()?;
            self.add(phases(END.name, spawned, &marks, end.at, PROGRAM)?);
        }
        if let Some(reason) = self.target.why_not(Capability::WaitForProgram) {
            let metrics = [USER.name, SYSTEM.name];
            let unavailable = metrics.map(|metric| (metric, reason.to_owned()));
            self.measurement.unavailable.extend(unavailable);
        } else {
            self.add([
                Reading::duration(USER.name, end.cpu_time.user),
                Reading::duration(SYSTEM.name, end.cpu_time.system),
            ]);
        }
        Ok(())
    }

    /// Kills the instance, and returns the time just before.
    fn stop(&mut self, group: Option<&InstanceGroup>) -> Result<MonotonicTime, MeasureError> {
        let before = MonotonicTime::now();
        if let Some(group) = group {
            group.kill_all()?;
        }
        self.instance.kill()?;
        Ok(before)
    }

    fn read_memory_at_ready(&mut self, group: Option<&InstanceGroup>) {
        let memory = self
            .accounted(group)
            .and_then(|group| group.memory_now().map_err(|error| error.to_string()));
        self.add_memory(AT_READY.name, memory);
    }

    /// Removes the group of the instance, which ended at the time `ended`. The peak of its memory is
    /// read when nothing runs in it any more, and outside of the teardown's time.
    fn remove_group(
        &mut self,
        group: Option<InstanceGroup>,
        ended: MonotonicTime,
    ) -> Result<(), MeasureError> {
        let accounted = self.accounted(group.as_ref()).map(drop);
        let mut peak = None;
        if let Some(group) = group {
            let teardown = group.remove_after(ended, |group| peak = group.memory_peak())?;
            self.add([Reading::duration(TEARDOWN.name, teardown)]);
        }
        let no_peak =
            || "the kernel doesn't count the peak of a cgroup; Linux 5.19 does".to_owned();
        let memory = accounted.and_then(|()| peak.ok_or_else(no_peak));
        self.add_memory(PEAK.name, memory);
        Ok(())
    }

    fn add_memory(&mut self, metric: &'static str, memory: Result<ByteSize, String>) {
        match memory {
            Ok(memory) => self.add([Reading::total(metric, memory.as_u64() as f64)]),
            Err(reason) => self.measurement.unavailable.push((metric, reason)),
        }
    }

    /// The group, if its memory is the instance's memory; otherwise the reason why it isn't.
    fn accounted<'g>(&self, group: Option<&'g InstanceGroup>) -> Result<&'g InstanceGroup, String> {
        match (self.target.why_not_in(memory::NAME), group) {
            (Some(reason), _) => Err(reason.to_owned()),
            (None, None) => Err(MeasureError::NoAccounting.to_string()),
            (None, Some(group)) => Ok(group),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_preparation_names_the_script_and_the_reason() {
        let error = MeasureError::Preparation {
            script: "make it".to_owned(),
            source: TimedError::Failed {
                ending: Ending::Code(2).to_string(),
                stderr: "no rule\n".to_owned(),
            },
        };
        let text = format!("{:#}", anyhow::Error::new(error));
        assert_eq!(
            text,
            "the preparation `make it` failed: ended with exit code 2: no rule"
        );
        let input = MeasureError::Input {
            path: "/no".into(),
            source: std::io::Error::from_raw_os_error(2),
        };
        assert!(input.to_string().contains("/no"));
    }
}
