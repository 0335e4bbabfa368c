//! What a measurement works with: a target that is ready to start instances, and what all
//! measurements of a run share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use isobench_reports::model::Injection;

use super::{ContentsId, MeasureError};
use crate::host::accounting::{Accounting, InstanceGroup};
use crate::host::clock::MonotonicTime;
use crate::host::interrupt::Interrupt;
use crate::host::umask::ReadableByAll;
use crate::instance::command_line::CommandLine;
use crate::instance::{Instance, Stdin};
use crate::targets::{Capability, Launch, Marks, Prepared, TargetInfo};

/// A target that is ready to be measured.
#[derive(Debug)]
pub struct ReadyTarget {
    /// The target's description.
    pub info: TargetInfo,
    /// The content of the root for which the target was prepared.
    pub contents: ContentsId,
    /// The prepared target.
    pub prepared: Box<dyn Prepared>,
    /// The directory in which the target was prepared.
    pub directory: PathBuf,
}

impl ReadyTarget {
    /// Makes the files of one instance, and returns the instance's command line. The instance will
    /// be started with `stdin`. The harness must not be in the instance's cgroup yet, because the
    /// cgroup would be charged with the files.
    pub(super) fn command(
        &self,
        mut launch: Launch,
        stdin: Stdin,
    ) -> Result<CommandLine, MeasureError> {
        launch.keeps_stdin_open = matches!(stdin, Stdin::HeldOpen);
        let _readable = ReadableByAll::begin();
        self.prepared
            .command(&launch)
            .map_err(MeasureError::Command)
    }

    /// Ends idle instances, all at once, and returns the time at which the last has ended. The
    /// instances' standard input is closed. If the target can't pass that on, the instances are
    /// killed.
    pub(super) fn end_idle_instances(
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
pub struct MeasureContext<'r> {
    /// The workload's path on the host.
    pub workload: &'r Path,
    /// The path of the file that disk experiments read and write.
    pub disk: &'r Path,
    /// The path of the program that counts an instance's system calls to the host's kernel.
    pub tracer: &'r Path,
    /// A directory on a disk for the files that a measurement makes. The run removes the directory.
    pub scratch: &'r Path,
    /// The cgroup in which instances' groups are made; `None` if this host's cgroups can't be used.
    pub accounting: Option<&'r Accounting>,
    /// How long one instance may take.
    pub limit: Duration,
    /// Tells whether the user has requested a stop.
    pub interrupt: &'r Interrupt,
    /// The delays that the run adds on purpose.
    pub injections: &'r [Injection],
}

impl MeasureContext<'_> {
    /// The delay that the run adds on purpose to each start of `target` in `experiment`.
    pub(super) fn injected_delay(&self, experiment: &str, target: &ReadyTarget) -> Duration {
        let matches = |injection: &&Injection| {
            injection.experiment == experiment && injection.target == target.info.name
        };
        let delays = self.injections.iter().filter(matches);
        Duration::from_nanos(delays.map(|injection| injection.delay_ns).sum())
    }

    /// A launch of the workload with `arguments`.
    pub(super) fn launch<'a>(&'a self, arguments: &[&str]) -> Launch<'a> {
        Launch {
            marks: Marks::Phases,
            ..Launch::of(self.workload, arguments)
        }
    }

    /// Starts one instance of `target`, in a cgroup of its own if there are cgroups. The harness is
    /// in the cgroup as well until [`InstanceGroup::leave`]. The instance must be dropped before
    /// the group: the instance reaps its processes, while the group would only kill them.
    pub(super) fn start(
        &self,
        target: &ReadyTarget,
        launch: Launch,
        stdin: Stdin,
    ) -> Result<(Option<InstanceGroup>, Instance<'_>), MeasureError> {
        self.start_after(target, launch, stdin, Duration::ZERO, |_| Ok(()))
    }

    /// As [`MeasureContext::start`], through the tracer, which counts the instance's system calls
    /// to the host's kernel.
    pub(super) fn start_traced(
        &self,
        target: &ReadyTarget,
        launch: Launch,
        stdin: Stdin,
    ) -> Result<(Option<InstanceGroup>, Instance<'_>), MeasureError> {
        let (group, command) = self.prepare(target, launch, stdin)?;
        let command = command.traced_by(self.tracer, &[]);
        if let Some(group) = &group {
            group.enter()?;
        }
        let instance = Instance::start(&command, stdin, self.limit, self.interrupt)?;
        Ok((group, instance))
    }

    /// Makes a cgroup for an instance, if there are cgroups, and returns it with the instance's
    /// command line.
    pub(super) fn prepare(
        &self,
        target: &ReadyTarget,
        mut launch: Launch,
        stdin: Stdin,
    ) -> Result<(Option<InstanceGroup>, CommandLine), MeasureError> {
        let group = self.accounting.map(Accounting::new_group).transpose()?;
        if let Some(group) = &group {
            launch.cgroups = group.limit_directories();
        }
        let command = target.command(launch, stdin)?;
        Ok((group, command))
    }

    /// As [`MeasureContext::start`], after a call of `before`, and with a `delay` inside the time
    /// that is measured. The time of `before` isn't measured. When `before` is called, everything
    /// is prepared and the harness is in the cgroup, so only the start itself follows.
    pub(super) fn start_after(
        &self,
        target: &ReadyTarget,
        launch: Launch,
        stdin: Stdin,
        delay: Duration,
        before: impl FnOnce(&CommandLine) -> Result<(), MeasureError>,
    ) -> Result<(Option<InstanceGroup>, Instance<'_>), MeasureError> {
        let (group, command) = self.prepare(target, launch, stdin)?;
        if let Some(group) = &group {
            group.enter()?;
        }
        before(&command)?;
        let instance =
            Instance::start_with_delay(&command, stdin, self.limit, self.interrupt, delay)?;
        Ok((group, instance))
    }
}
