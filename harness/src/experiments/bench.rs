//! What a measurement starts instances with.

use std::path::{Path, PathBuf};
use std::time::Duration;

use isobench_reports::model::Injection;

use super::MeasureError;
use crate::host::accounting::{Accounting, InstanceGroup};
use crate::host::clock::MonotonicTime;
use crate::host::interrupt::Interrupt;
use crate::instance::command_line::CommandLine;
use crate::instance::{Instance, Stdin};
use crate::targets::{Capability, Launch, Marks, Prepared, TargetInfo};

/// A target that is ready to be measured.
#[derive(Debug)]
pub struct Subject {
    /// The target, described.
    pub info: TargetInfo,
    /// The target, prepared.
    pub prepared: Box<dyn Prepared>,
    /// The directory that the target was prepared in.
    pub directory: PathBuf,
}

impl Subject {
    /// The command line of one instance that is started with `stdin`. Get it before the harness enters
    /// the instance's cgroup, which is not to be charged with the files that are made for the
    /// instance.
    pub(super) fn command(
        &self,
        mut launch: Launch,
        stdin: Stdin,
    ) -> Result<CommandLine, MeasureError> {
        launch.keeps_stdin_open = matches!(stdin, Stdin::HeldOpen);
        self.prepared
            .command(&launch)
            .map_err(MeasureError::Command)
    }

    /// Ends idle instances, all at once: their standard input ends, or they are killed where the target
    /// can't tell them that. The time at which the last had ended.
    pub(super) fn end_idle(
        &self,
        mut instances: Vec<Instance>,
    ) -> Result<MonotonicTime, MeasureError> {
        if !self.info.can(Capability::PassEndOfInput) {
            drop(instances);
            return Ok(MonotonicTime::now());
        }
        instances.iter_mut().for_each(Instance::close_stdin);
        let mut last = MonotonicTime::now();
        for instance in &mut instances {
            last = last.max(instance.wait_until_exited()?);
        }
        Ok(last)
    }
}

/// What all measurements of a run share.
#[derive(Debug)]
pub struct Bench<'r> {
    /// The workload's path on the host.
    pub workload: &'r Path,
    /// The file that disk experiments work on.
    pub disk: &'r Path,
    /// What counts the host's system calls of an instance.
    pub tracer: &'r Path,
    /// A directory on a disk, for what a measurement has to make; it ends with the run.
    pub scratch: &'r Path,
    /// Where memory is accounted, if this host can.
    pub accounting: Option<&'r Accounting>,
    /// How long one instance may take.
    pub limit: Duration,
    /// Whether the user has asked for a stop.
    pub interrupt: &'r Interrupt,
    /// Delays that are added on purpose.
    pub injections: &'r [Injection],
}

impl Bench<'_> {
    /// The delay that is added on purpose to each start of `subject` in `experiment`.
    pub(super) fn injected(&self, experiment: &str, subject: &Subject) -> Duration {
        let of = |injection: &&Injection| {
            injection.experiment == experiment && injection.target == subject.info.name
        };
        let delays = self.injections.iter().filter(of);
        Duration::from_nanos(delays.map(|injection| injection.delay_ns).sum())
    }

    /// The launch of the workload with `arguments`.
    pub(super) fn launch<'a>(&'a self, arguments: &[&str]) -> Launch<'a> {
        Launch {
            marks: Marks::Phases,
            ..Launch::of(self.workload, arguments)
        }
    }

    /// Starts one instance of `subject` in a cgroup of its own, where there are cgroups; the harness is in it too until
    /// it leaves. Of the two the instance has to be dropped first: it reaps what the group would only kill.
    pub(super) fn start(
        &self,
        subject: &Subject,
        launch: Launch,
        stdin: Stdin,
    ) -> Result<(Option<InstanceGroup>, Instance<'_>), MeasureError> {
        self.start_after(subject, launch, stdin, Duration::ZERO, |_| Ok(()))
    }

    /// Starts one as [`Bench::start`] does, with the calls counted that it makes of the host's kernel.
    pub(super) fn start_traced(
        &self,
        subject: &Subject,
        launch: Launch,
        stdin: Stdin,
    ) -> Result<(Option<InstanceGroup>, Instance<'_>), MeasureError> {
        let (group, command) = self.prepare(subject, launch, stdin)?;
        let command = command.traced_by(self.tracer);
        if let Some(group) = &group {
            group.enter()?;
        }
        let instance = Instance::start(&command, stdin, self.limit, self.interrupt)?;
        Ok((group, instance))
    }

    /// A cgroup for an instance, where there are cgroups, and the instance's command line.
    pub(super) fn prepare(
        &self,
        subject: &Subject,
        mut launch: Launch,
        stdin: Stdin,
    ) -> Result<(Option<InstanceGroup>, CommandLine), MeasureError> {
        let group = self.accounting.map(Accounting::new_group).transpose()?;
        if let Some(group) = &group {
            launch.cgroups = group.limit_directories();
        }
        let command = subject.command(launch, stdin)?;
        Ok((group, command))
    }

    /// The same with a delay that counts as the start's, once `before` is done, which doesn't: by then all is prepared and
    /// the cgroup is joined, so that only the start itself follows.
    pub(super) fn start_after(
        &self,
        subject: &Subject,
        launch: Launch,
        stdin: Stdin,
        delay: Duration,
        before: impl FnOnce(&CommandLine) -> Result<(), MeasureError>,
    ) -> Result<(Option<InstanceGroup>, Instance<'_>), MeasureError> {
        let (group, command) = self.prepare(subject, launch, stdin)?;
        if let Some(group) = &group {
            group.enter()?;
        }
        before(&command)?;
        let instance =
            Instance::start_with_delay(&command, stdin, self.limit, self.interrupt, delay)?;
        Ok((group, instance))
    }
}
