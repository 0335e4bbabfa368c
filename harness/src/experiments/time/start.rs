//! The start of one instance of a timed command, and what comes before the clock.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use super::reach::Way;
use crate::experiments::{MeasureContext, MeasureError, ReadyTarget};
use crate::host::accounting::InstanceGroup;
use crate::instance::Stdin;
use crate::instance::command_line::CommandLine;
use crate::instance::reap::Ending;
use crate::instance::timed::{LinePattern, Pipes, TimedError, TimedInstance};
use crate::targets::resource_limits::ResourceLimits;
use crate::targets::{Launch, Marks, TargetInfo};
use crate::timing::command::TimedCommand;
use crate::timing::ready::ReadyCondition;
use crate::timing::root::ResolvedProgram;

/// Starts one instance, in a cgroup of its own if there are cgroups. `change` is the last to change
/// the instance's command line.
pub(super) fn start<'r>(
    command: &TimedCommand,
    launch: Launch,
    target: &ReadyTarget,
    context: &'r MeasureContext,
    change: impl FnOnce(CommandLine) -> CommandLine,
) -> Result<(Option<InstanceGroup>, TimedInstance<'r>), MeasureError> {
    if let Some(script) = &command.prepare {
        prepare_host(script, command.timeout, context)?;
    }
    let pattern = match &command.ready {
        ReadyCondition::Line(None) => Some(LinePattern::Any),
        ReadyCondition::Line(Some(regex)) => Some(LinePattern::Matching(regex.clone())),
        _ => None,
    };
    let input = command.input.as_deref().unwrap_or(Path::new("/dev/null"));
    let stdin = File::open(input).map_err(|source| MeasureError::Input {
        path: input.to_owned(),
        source,
    })?;
    let pipes = Pipes::new(stdin.into(), pattern.as_ref()).map_err(TimedError::Pipe)?;
    let (group, command_line) = context.prepare(target, launch, Stdin::Null)?;
    let command_line = change(command_line);
    if let Some(group) = &group {
        group.enter()?;
    }
    let (limit, interrupt) = (command.timeout, context.interrupt);
    let instance = TimedInstance::start(&command_line, pipes, limit, interrupt)?;
    Ok((group, instance))
}

/// Runs the user's command before a sample, on the host and untimed.
fn prepare_host(
    script: &str,
    limit: Duration,
    context: &MeasureContext,
) -> Result<(), MeasureError> {
    let mut shell = CommandLine::new("/bin/sh").args(["-c", script]);
    let variables = std::env::vars_os();
    shell.environment = variables
        .map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            name
        })
        .collect();
    let failed = |source| MeasureError::Preparation {
        script: script.to_owned(),
        source,
    };
    let run = || -> Result<(), TimedError> {
        let stdin = File::open("/dev/null")?;
        let pipes = Pipes::new(stdin.into(), None)?;
        let mut instance = TimedInstance::start(&shell, pipes, limit, context.interrupt)?;
        match instance.wait_until_ended()?.ending {
            Ending::Code(0) => Ok(()),
            ending => Err(TimedError::Failed {
                ending: instance.describe(ending),
                stderr: instance.stderr(),
            }),
        }
    };
    run().map_err(|error| match error {
        TimedError::Interrupted => error.into(),
        other => failed(other),
    })
}

/// The launch of the program on a target.
pub(super) fn launch<'l>(
    command: &TimedCommand,
    program: &'l ResolvedProgram,
    target: &TargetInfo,
    marks: Marks,
) -> Launch<'l> {
    let to_port = command.ready.port();
    let way = to_port.and_then(|_| Way::to(target, command.network));
    let least_network = way.and_then(|way| way.least_network(target));
    Launch {
        name: Some(program.name.clone()),
        environment: program.environment.clone(),
        memory: command.memory,
        network: command.network.or(least_network),
        resource_limits: ResourceLimits {
            cpus: command.cpus,
            ..ResourceLimits::default()
        },
        marks,
        ..Launch::of(&program.path, program.arguments.iter().cloned())
    }
}
