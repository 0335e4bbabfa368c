//! Start-up: the same program from spawn to end, by hyperfine and by the experiment `startup`.
//!
//! hyperfine starts by `posix_spawn(3)`, which sets each of 64 signals back in the child, and its clock runs from before that
//! call until the process is reaped. isobench's spawn has no signal to set back, and its clock stops when the kernel says that
//! the process has ended. For a bare process that is a fifth of the whole, so it is measured here and added to isobench's
//! figure: what is held against hyperfine is then the same stretch of time.

use std::fs::{self, File};
use std::io::{Read as _, pipe};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use isobench::host::clock::MonotonicTime;
use isobench::instance::command_line::CommandLine;
use isobench::instance::spawn::{Descriptors, ProcessGroup, spawn};
use isobench_reports::model::Unit;
use isobench_reports::schema::startup;
use isobench_reports::statistics::Series;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::waitpid;
use std::os::fd::AsFd as _;

use crate::own::Own;
use crate::rows::{self, Row};

/// Starts in a turn.
const STARTS: u32 = 25;

pub fn row(own: &Own) -> Row<'_> {
    Row {
        figure: "start-up by posix_spawn, until reaped",
        tool: "hyperfine",
        package: "hyperfine",
        allowance: 0.05,
        unit: Unit::Nanoseconds,
        keeps_processor: false,
        ours: Box::new(|| {
            let beyond = beyond_spawn_to_end(own)?;
            let starts = (0..STARTS).map(|_| Ok(spawn_to_end(own)? + beyond));
            starts.collect()
        }),
        theirs: Box::new(|| times(own)),
    }
}

fn spawn_to_end(own: &Own) -> anyhow::Result<f64> {
    Ok(own.sample(startup::NAME, &["ready", "exit"])?.iter().sum())
}

/// How much longer `posix_spawn` takes than isobench's spawn, and reaping: medians, in nanoseconds.
fn beyond_spawn_to_end(own: &Own) -> anyhow::Result<f64> {
    let theirs: Vec<_> = (0..STARTS)
        .map(|_| posix_spawn(own))
        .collect::<anyhow::Result<_>>()?;
    let ours: Vec<_> = (0..STARTS)
        .map(|_| start_and_reap(own))
        .collect::<anyhow::Result<_>>()?;
    let (spawned, reaped): (Vec<_>, Vec<_>) = ours.into_iter().unzip();
    Ok(median(theirs)? - median(spawned)? + median(reaped)?)
}

fn median(taken: Vec<Duration>) -> anyhow::Result<f64> {
    let nanos = taken.into_iter().map(|taken| taken.as_nanos() as f64);
    Series::new((0..).zip(nanos)).median().context("no start")
}

/// Until the standard library's call, which is hyperfine's, comes back.
fn posix_spawn(own: &Own) -> anyhow::Result<Duration> {
    let mut command = Command::new(&own.workload);
    command.arg("ready").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let start = Instant::now();
    let child = command.spawn()?;
    let took = start.elapsed();
    child.wait_with_output()?;
    Ok(took)
}

/// From the reading of isobench's clock until its own call comes back; and from the kernel's saying that the process has ended
/// until it is gone.
fn start_and_reap(own: &Own) -> anyhow::Result<(Duration, Duration)> {
    let command = CommandLine::new(&own.workload).args(["ready"]);
    let (mut output, stdout) = pipe()?;
    let descriptors = Descriptors {
        stdin: File::open("/dev/null")?.into(),
        stdout: stdout.into(),
        stderr: File::create("/dev/null")?.into(),
        marks: None,
    };
    let child = spawn(&command, descriptors, ProcessGroup::Own)?;
    let spawned = MonotonicTime::now().since(child.spawned_at);
    output.read_to_end(&mut Vec::new())?;
    let mut ended = [PollFd::new(child.pidfd.as_fd(), PollFlags::POLLIN)];
    poll(&mut ended, PollTimeout::NONE)?;
    let start = Instant::now();
    waitpid(child.pid, None)?;
    Ok((spawned.context("the clock went back")?, start.elapsed()))
}

fn times(own: &Own) -> anyhow::Result<Vec<f64>> {
    let directory = tempfile::tempdir()?;
    let json = directory.path().join("times.json");
    // No shell in between; and a pipe, as isobench has it: what is written to /dev/null wakes nobody up.
    let mut command = Command::new("hyperfine");
    command.args([
        "-N",
        "--output=pipe",
        "--style=none",
        "--warmup=2",
        "--runs",
    ]);
    command.arg(STARTS.to_string());
    command.arg("--export-json").arg(&json);
    command.arg(format!("{} ready", own.workload.display()));
    rows::output_of(command)?;
    let results: serde_json::Value = serde_json::from_slice(&fs::read(json)?)?;
    let times = results["results"][0]["times"].as_array();
    let times = times.context("hyperfine's JSON has no times")?.iter();
    let seconds = times.filter_map(serde_json::Value::as_f64);
    Ok(seconds.map(|seconds| seconds * 1e9).collect())
}
