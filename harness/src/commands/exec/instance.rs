//! One instance of a target, prepared and started for `isobench exec`.

use std::fs;
use std::os::fd::RawFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use isobench_container::Network;
use isobench_container::cgroup::Hierarchies;
use isobench_reports::model::TargetFamily;

use super::foreground;
use super::orphans::Orphans;
use crate::commands::arguments::ExecArguments;
use crate::commands::failure::BadInput;
use crate::host::accounting::{Accounting, InstanceGroup};
use crate::host::descriptors::CallersDescriptors;
use crate::host::facts::HostReport;
use crate::host::interrupt::Interrupt;
use crate::host::programs::Programs;
use crate::host::session::{PlaceNeeds, Session, SessionName, first_unusual};
use crate::host::umask::ReadableByAll;
use crate::instance::command_line::CommandResult;
use crate::streams::tell;
use crate::targets::{
    self, Capability, Contents, Daemons, Launch, MemoryLimit, PrepareContext, PrepareError,
    Surroundings, Target, TargetInfo,
};

/// Prepares `target`, runs one instance on this process's own streams, and gives its exit code.
pub(super) fn run_in(
    target: &dyn Target,
    contents: Contents,
    launch: Launch,
    arguments: &ExecArguments,
    inherited: CallersDescriptors,
    interrupt: &Interrupt,
) -> anyhow::Result<u8> {
    let info = target.info();
    let words = launch.arguments.iter().chain(&launch.environment);
    if let Some(reason) = info.why_not_words(words) {
        return Err(BadInput(format!("{} can't run this: {reason}", info.name)).into());
    }
    let preserved = preserved(info, arguments.preserve_fds, &inherited)?;
    let session = Session::open(&PlaceNeeds::OF_PROGRAMS)?;
    let readable = ReadableByAll::begin();
    let directory = session.scratch().join("root");
    fs::create_dir(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let disk = launch.disk.map(|disk| with_plain_path(disk, &session));
    let disk = disk.transpose()?;
    let accounting = accounting(arguments, session.name(), info.memory_limit)?;
    let setup = PrepareContext {
        contents,
        directory: &directory,
        session: session.name(),
        accounting: accounting.as_ref(),
    };
    let prepared = target.prepare(&setup).map_err(|error| match error {
        PrepareError::Unavailable(_) | PrepareError::NoImages { .. } => {
            anyhow::Error::new(BadInput(format!("{} can't run here: {error}", info.name)))
        }
        PrepareError::Files { .. } => error.into(),
    })?;
    let group = accounting.as_ref().map(Accounting::new_group).transpose()?;
    let launch = Launch {
        memory: arguments.memory,
        network: arguments.net,
        preserved,
        disk: disk.as_deref(),
        surroundings: Surroundings::Whole,
        resource_limits: arguments.resource_limits.clone(),
        cgroups: group
            .as_ref()
            .map_or_else(Vec::new, InstanceGroup::limit_directories),
        ..launch
    };
    let mut command = prepared
        .command(&launch)
        .with_context(|| format!("cannot prepare an instance in {}", directory.display()))?;
    drop(readable);
    // A bare process leaves its own children to whom they are left elsewhere, too.
    let orphans = (info.family != TargetFamily::Process).then(Orphans::adopt);
    let code = foreground::run(&mut command, group.as_ref(), inherited, interrupt);
    if let Some(orphans) = orphans {
        orphans.end();
    }
    command.leftovers.remove_after(match code {
        Ok(0) => CommandResult::Success,
        _ => CommandResult::Failure,
    });
    let code = code?;
    if let Some(other) = command.endings.other_meaning(code.into()) {
        tell(format_args!("isobench: exit code {code}: {other}"));
    }
    Ok(code)
}

/// A path of `disk` that all runtimes' options can hold: its own, or that of a link in the session's
/// directory, whose path is chosen so.
fn with_plain_path(disk: &Path, session: &Session) -> anyhow::Result<PathBuf> {
    if first_unusual(disk.as_os_str()).is_none() {
        return Ok(disk.to_owned());
    }
    let link = session.scratch().join("disk");
    symlink(disk, &link).with_context(|| format!("cannot make {}", link.display()))?;
    Ok(link)
}

/// The descriptors of the caller that the program gets.
fn preserved(
    info: &TargetInfo,
    count: u16,
    inherited: &CallersDescriptors,
) -> Result<Vec<RawFd>, BadInput> {
    let closed = |number: RawFd| {
        BadInput(format!(
            "--preserve-fds {count}: descriptor {number} isn't open; open it for isobench, as by \
             {number}<FILE"
        ))
    };
    let wanted = inherited.first(count).map_err(closed)?;
    match info.why_not(Capability::PassDescriptors) {
        Some(reason) if count > 0 => Err(BadInput(format!(
            "{} has no --preserve-fds: {reason}; leave it out",
            info.name
        ))),
        _ if info.family == TargetFamily::Process => Ok(inherited.numbers().to_vec()),
        _ => Ok(wanted),
    }
}

/// Refuses options that the target can't meet, and a target that this host can't run.
pub(super) fn check_target(
    target: &dyn Target,
    arguments: &ExecArguments,
    programs: &Programs,
) -> Result<(), BadInput> {
    let info = target.info();
    let name = info.name;
    if arguments.memory.is_some() && info.memory_limit.is_none() {
        return Err(BadInput(format!(
            "{name} can't limit memory; leave --memory out"
        )));
    }
    if let Some(network) = arguments.net {
        check_network(network, info)?;
    }
    if let Some(option) = arguments.resource_limits.given()
        && !info.can(Capability::LimitResources)
    {
        return Err(BadInput(format!("{name} has no {option}; leave it out")));
    }
    if let Some(unavailable) = target
        .availability(&HostReport::inspect(programs))
        .unavailable
    {
        let (reason, fix) = (unavailable.reason, unavailable.fix);
        return Err(BadInput(format!("{name} can't run here: {reason}; {fix}")));
    }
    Ok(())
}

/// The cgroups for the limits among the options; none where the host has no cgroups and no option
/// needs them.
fn accounting(
    arguments: &ExecArguments,
    session: &SessionName,
    memory_limit: Option<MemoryLimit>,
) -> anyhow::Result<Option<Accounting>> {
    let memory = arguments
        .memory
        .filter(|_| memory_limit == Some(MemoryLimit::Cgroup))
        .map(|_| "--memory");
    let needs = memory.or(arguments.resource_limits.given());
    let hierarchies = Hierarchies::detect_for(&arguments.resource_limits.controllers())?;
    let refuse = |option: &str, reason: &dyn std::error::Error| {
        BadInput(format!("{option} needs a cgroup: {reason}"))
    };
    arguments
        .resource_limits
        .check(&hierarchies)
        .map_err(|(option, reason)| refuse(option, &reason))?;
    match (Accounting::open_in(&hierarchies, session), needs) {
        (Ok(accounting), _) => Ok(Some(accounting)),
        (Err(error), Some(option)) => Err(refuse(option, &error).into()),
        (Err(_), None) => Ok(None),
    }
}

pub(super) fn choose(programs: &Programs, wanted: &str) -> Result<Box<dyn Target>, BadInput> {
    let all = targets::all(programs, Daemons::UseRunning);
    let known = targets::names(&all);
    all.into_iter()
        .find(|target| {
            let info = target.info();
            info.name == wanted && info.can(Capability::RunPrograms)
        })
        .ok_or_else(|| {
            BadInput(format!(
                "no target `{wanted}` that runs programs; choose among {known}"
            ))
        })
}

fn check_network(network: Network, target: &TargetInfo) -> Result<(), BadInput> {
    let offered = target.networks;
    if offered.contains(&network) {
        return Ok(());
    }
    let names: Vec<_> = offered.iter().map(|network| network.name()).collect();
    Err(BadInput(format!(
        "{} has no network {}; choose among {}",
        target.name,
        network.name(),
        names.join(", ")
    )))
}

pub(super) fn check_disk(disk: &Path) -> Result<PathBuf, BadInput> {
    let refuse = |why: String| BadInput(format!("--disk {}: {why}", disk.display()));
    let metadata = fs::metadata(disk).map_err(|e| refuse(e.to_string()))?;
    if !metadata.is_file() {
        return Err(refuse("not a regular file".to_owned()));
    }
    disk.canonicalize().map_err(|e| refuse(e.to_string()))
}
