//! What a program in the container sees, for `isobench doctor --target container`.
//!
//! A real container is started, with limits, and `isobench-workload inspect` inside prints what it
//! sees. While the workload waits for its input to end, this process reads the limits that the
//! kernel keeps.

mod findings;
mod sight;

use std::fs;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytesize::ByteSize;
use isobench_container::cgroup::{Limit, Version};
use isobench_workloads::inspect::END;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;

use crate::host::accounting::{Accounting, InstanceGroup};
use crate::host::facts::Finding;
use crate::host::programs::Programs;
use crate::host::session::{PlaceNeeds, Session};
use crate::host::umask::ReadableByAll;
use crate::instance::spawn::{Descriptors, ProcessGroup, spawn};
use crate::instance::stream::Stream;
use crate::targets::resource_limits::ResourceLimits;
use crate::targets::{Contents, Launch, PrepareContext, Target};

use sight::Sight;

/// The container's limit of memory.
const MEMORY: ByteSize = ByteSize::mib(64);
/// The container's limit of processes.
const PIDS: NonZeroU32 = NonZeroU32::new(16).unwrap();
/// How long the container may take to print what it sees.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of its output that are read at most.
const MOST: usize = 1 << 20;

/// Starts `target`, the container, and gives the findings of a look from inside.
///
/// # Errors
/// The container can't be started, or the workload inside doesn't print what it sees.
pub fn inspect(target: &dyn Target, programs: &Programs) -> anyhow::Result<Vec<Finding>> {
    let session = Session::open(&PlaceNeeds::OF_PROGRAMS)?;
    let readable = ReadableByAll::begin();
    let directory = session.scratch().join("root");
    fs::create_dir(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    // Without cgroups there are no limits to look at, which is one of the findings.
    let accounting = Accounting::open(session.name()).ok();
    let prepared = target.prepare(&PrepareContext {
        contents: Contents::Program(&programs.workload),
        directory: &directory,
        session: session.name(),
        accounting: accounting.as_ref(),
    })?;
    let group = accounting.as_ref().map(Accounting::new_group).transpose()?;
    let limits = group
        .as_ref()
        .map_or_else(Vec::new, InstanceGroup::limit_directories);
    let launch = Launch {
        memory: group.as_ref().map(|_| MEMORY),
        resource_limits: ResourceLimits {
            pids: group.as_ref().map(|_| PIDS),
            ..ResourceLimits::default()
        },
        cgroups: limits.clone(),
        ..Launch::of(&programs.workload, ["inspect"])
    };
    let command = prepared.command(&launch)?;
    drop(readable);
    let (stdout, mut output) = Stream::pipe(MOST)?;
    let (stdin, hold) = io::pipe()?;
    let child = spawn(
        &command,
        Descriptors {
            stdin: stdin.into(),
            stdout,
            stderr: io::stderr().as_fd().try_clone_to_owned()?,
            marks: None,
        },
        ProcessGroup::Inherited,
    )?;
    let sight = listen(&mut output);
    let limits = group.is_some().then(|| HeldLimits::read(&limits));
    drop(hold);
    if sight.is_err() {
        // A workload that printed nothing may not end by itself either.
        let _ = kill(child.pid, Signal::SIGKILL);
    }
    waitpid(child.pid, None).context("cannot wait for the launcher")?;
    Ok(findings::of(&sight?, &Sight::of_this_process(), limits))
}

/// Reads the workload's lines up to the last, or until the workload has ended.
fn listen(output: &mut Stream) -> anyhow::Result<Sight> {
    let deadline = Instant::now() + PATIENCE;
    let mut lines = Vec::new();
    loop {
        while let Some(line) = output.take_line() {
            if line == END {
                return Ok(Sight::parse(&lines));
            }
            lines.push(line);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if output.is_closed() || left.is_zero() {
            bail!("the program in the container doesn't say what it sees");
        }
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        poll(
            &mut [PollFd::new(output.as_fd(), PollFlags::POLLIN)],
            timeout,
        )?;
        output.fill()?;
    }
}

/// The limits that the kernel keeps.
#[derive(Debug, Default)]
pub struct HeldLimits {
    version: Option<Version>,
    memory: Option<String>,
    pids: Option<String>,
}

impl HeldLimits {
    /// Reads the limits of one group, which has `directories` in the hierarchies.
    fn read(directories: &[PathBuf]) -> Self {
        let mut held = Self::default();
        for directory in directories {
            let Ok(version) = Version::of(directory) else {
                continue;
            };
            let read = |limit: Limit| {
                let text = fs::read_to_string(directory.join(limit.file(version)));
                text.ok().map(|text| text.trim().to_owned())
            };
            held.version = Some(version);
            held.memory = held.memory.or_else(|| read(Limit::Memory(MEMORY)));
            held.pids = held.pids.or_else(|| read(Limit::Pids(PIDS)));
        }
        held
    }
}
