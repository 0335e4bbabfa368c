//! Start-up: the same program from spawn to end, by hyperfine, by the experiment `startup` and by `isobench time`.
//!
//! hyperfine starts by `posix_spawn(3)`, which sets each of 64 signals back in the child, and its clock runs from before that
//! call until the process is reaped. isobench's spawn has no signal to set back, and its clock stops when the kernel says that
//! the process has ended. For a bare process that is a fifth of the whole, so it is measured here and added to isobench's
//! figure: what is held against hyperfine is then the same stretch of time.

use std::fs::File;
use std::io::{Read as _, pipe};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use isobench::host::clock::MonotonicTime;
use isobench::instance::command_line::CommandLine;
use isobench::instance::spawn::{Descriptors, ProcessGroup, spawn};
use isobench_reports::model::Unit;
use isobench_reports::read_foreign;
use isobench_reports::schema::{hyperfine, startup};
use isobench_reports::statistics::Series;
use isobench_reports::units::value;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::waitpid;
use std::os::fd::AsFd as _;

use crate::own::Own;
use crate::rows::{self, Row};

/// Starts in a turn.
const STARTS: u32 = 100;

/// A row for each of the `programs`, which are hyperfines of any version: beside the experiment `startup`, and beside
/// `isobench time`.
pub fn rows<'r>(own: &'r Own, programs: &[PathBuf]) -> Vec<Row<'r>> {
    programs
        .iter()
        .flat_map(|program| [startup_row(own, program), time_row(own, program)])
        .collect()
}

fn startup_row<'r>(own: &'r Own, program: &Path) -> Row<'r> {
    let spawn_to_end = || Ok(own.sample(startup::NAME, &["ready", "exit"])?.iter().sum());
    row(
        "start-up by posix_spawn, until reaped",
        own,
        program,
        spawn_to_end,
    )
}

fn time_row<'r>(own: &'r Own, program: &Path) -> Row<'r> {
    row("`time` by posix_spawn, until reaped", own, program, || {
        own.time()
    })
}

/// A row whose figure of isobench's lasts from the spawn to the end, as `spawn_to_end` takes it.
fn row<'r>(
    figure: &'static str,
    own: &'r Own,
    program: &Path,
    spawn_to_end: impl Fn() -> anyhow::Result<f64> + 'r,
) -> Row<'r> {
    let program = program.to_owned();
    Row {
        figure,
        tool: named(&program),
        program: program.clone(),
        package: "hyperfine",
        allowance: 0.1,
        unit: Unit::Nanoseconds,
        keeps_processor: true,
        ours: Box::new(move || {
            let beyond = beyond_spawn_to_end(own)?;
            let starts = (0..STARTS).map(|_| Ok(spawn_to_end()? + beyond));
            starts.collect()
        }),
        theirs: Box::new(move || times(own, &program)),
    }
}

/// The program's own name and version, or its path if it doesn't tell.
fn named(program: &Path) -> String {
    let mut version = Command::new(program);
    version.arg("--version");
    let told = rows::output_of(version);
    told.map_or_else(
        |_| program.display().to_string(),
        |told| told.trim().to_owned(),
    )
}

/// What lies between hyperfine's window and isobench's, in nanoseconds.
struct Between {
    posix_spawn: f64,
    spawn: f64,
    reaping: f64,
}

/// A line that says what lies between the two windows.
pub fn windows(own: &Own) -> anyhow::Result<String> {
    let between = between(own)?;
    let [posix_spawn, spawn, reaping] = [between.posix_spawn, between.spawn, between.reaping]
        .map(|nanos| value(Unit::Nanoseconds, nanos));
    Ok(format!(
        "hyperfine's window is longer: the standard library's spawn takes {posix_spawn} and isobench's {spawn}, \
         and the process is reaped in {reaping}"
    ))
}

/// How much longer `posix_spawn` takes than isobench's spawn, and reaping: medians, in nanoseconds.
fn beyond_spawn_to_end(own: &Own) -> anyhow::Result<f64> {
    let between = between(own)?;
    Ok(between.posix_spawn - between.spawn + between.reaping)
}

fn between(own: &Own) -> anyhow::Result<Between> {
    let theirs: Vec<_> = (0..STARTS)
        .map(|_| posix_spawn(own))
        .collect::<anyhow::Result<_>>()?;
    let ours: Vec<_> = (0..STARTS)
        .map(|_| start_and_reap(own))
        .collect::<anyhow::Result<_>>()?;
    let (spawned, reaped): (Vec<_>, Vec<_>) = ours.into_iter().unzip();
    Ok(Between {
        posix_spawn: median(theirs)?,
        spawn: median(spawned)?,
        reaping: median(reaped)?,
    })
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

fn times(own: &Own, program: &Path) -> anyhow::Result<Vec<f64>> {
    let directory = tempfile::tempdir()?;
    let json = directory.path().join("times.json");
    // No shell in between; and a pipe, as isobench has it: what is written to /dev/null wakes nobody up.
    let mut command = Command::new(program);
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
    let run = read_foreign(&json)?;
    let ends = run
        .samples
        .into_iter()
        .filter(|sample| sample.metric == hyperfine::END.name);
    Ok(ends.filter_map(|sample| sample.value).collect())
}
