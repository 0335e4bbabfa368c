//! The goals that the README states, each as a ratio to a named floor or peer measured in the same interleaved run.
//!
//! Printed, not asserted: a shared or busy host must not fail a build by its timing. `cargo bench --bench goals`

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context as _;
use isobench::experiment::{self, DISK, Experiment, MEMORY, STARTUP};
use isobench::goal::{Bound, Goal, series};
use isobench::host::HostReport;
use isobench::interrupt::Interrupt;
use isobench::plan::Profile;
use isobench::programs::Programs;
use isobench::progress::Progress;
use isobench::rig::Rig;
use isobench::runner::Runner;
use isobench::stop::Until;
use isobench::target;
use isobench_reports::model::TOTAL;
use isobench_reports::statistics::Series;

/// Rounds in which hyperfine and the harness take turns.
const ROUNDS: u32 = 8;
/// Starts in each.
const STARTS: usize = 25;

const READY: &[&str] = &["ready"];
/// What hyperfine measures.
const SPAWN_TO_EXIT: &[&str] = &["ready", "exit"];
/// From the ready line until nothing is left.
const END: &[&str] = &["exit", "teardown"];

/// Peers that get what the container has, as far as they can: `isobench run`'s report lists what differs.
const GOALS: [Goal; 12] = [
    startup("container", READY, "floor-namespaces", 1.5),
    startup("container", READY, "crun", 1.0),
    startup("container", READY, "runc", 1.0),
    startup("container", READY, "youki", 1.0),
    startup("container", READY, "bwrap", 1.0),
    startup("container", END, "crun", 1.0),
    startup("container", END, "runc", 1.0),
    startup("container", END, "youki", 1.0),
    startup("container", END, "bwrap", 1.0),
    startup("microvm-bare", READY, "floor-kvm", 2.0),
    startup("microvm-bare", READY, "bwrap", 1.0),
    Goal {
        experiment: DISK,
        metrics: &["seq-read-direct"],
        target: "microvm-bare",
        baseline: "process",
        bound: Bound::AtLeast(0.9),
    },
];

const fn startup(
    target: &'static str,
    metrics: &'static [&'static str],
    baseline: &'static str,
    most: f64,
) -> Goal {
    Goal {
        experiment: STARTUP,
        metrics,
        target,
        baseline,
        bound: Bound::AtMost(most),
    }
}

fn main() -> ExitCode {
    if !std::env::args().any(|argument| argument == "--bench") || has_other_filter() {
        return ExitCode::SUCCESS;
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => isobench::failure::report(&error),
    }
}

/// The targets that the goals name, and no other: each costs time.
fn compared() -> Vec<String> {
    let names = GOALS.iter().flat_map(|goal| [goal.target, goal.baseline]);
    names.map(str::to_owned).collect()
}

fn has_other_filter() -> bool {
    let mut filters = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .peekable();
    filters.peek().is_some() && !filters.any(|filter| "goals".contains(filter.as_str()))
}

fn measure() -> anyhow::Result<()> {
    let isobench = Path::new(env!("CARGO_BIN_EXE_isobench"));
    let programs = Programs::in_directory(isobench.parent().unwrap_or(Path::new(".")))?;
    let interrupt = Interrupt::install()?;
    let host = HostReport::inspect(&programs);
    let profile = Profile::Standard;
    let rig = Rig::assemble(
        target::choose(target::all(&programs), Some(&compared()))?,
        &host,
        &programs,
        experiment::disk_size(profile),
    )?;

    println!("goal                                                     measured");
    harness_against_hyperfine(&rig, &programs, &interrupt)?;
    let mut experiments: Vec<Box<dyn Experiment>> = experiment::all(profile);
    experiments.retain(|experiment| [STARTUP, MEMORY, DISK].contains(&experiment.name()));
    let runner = Runner {
        experiments: &experiments,
        subjects: &rig.subjects,
        profile,
        seed: 0,
        until: Until::default(),
    };
    let taken = runner.run(&rig.bench(&interrupt), Progress::silent(), &mut |_| {});
    for goal in &GOALS {
        println!("{}", goal.held_against(&taken.samples));
    }
    for (target, most) in [("container", 1.0), ("microvm-bare", 3.0)] {
        let charge = series(&taken.samples, MEMORY, &["charge"], target);
        let measured = charge.median().map_or("not measured".to_owned(), |bytes| {
            format!("{:.2} MiB", bytes / (1024.0 * 1024.0))
        });
        println!(
            "{:<56} {measured}",
            format!("{target}: idle memory under {most} MiB")
        );
    }
    Ok(())
}

/// The same program from spawn to exit, by hyperfine and by the harness, in turns.
fn harness_against_hyperfine(
    rig: &Rig,
    programs: &Programs,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    if Command::new("hyperfine").arg("--version").output().is_err() {
        println!("harness against hyperfine: hyperfine is not installed");
        return Ok(());
    }
    let startup = &experiment::all(Profile::Quick)[0];
    let process = &rig.subjects[0];
    let bench = rig.bench(interrupt);
    let directory = tempfile::tempdir()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let times = hyperfine(&programs.workload, directory.path().join("times.json"))?;
        theirs.extend(times.into_iter().map(|seconds| (round, seconds * 1e9)));
        for _ in 0..STARTS {
            let measured = startup.measure(0, process, &bench)?;
            let whole = measured
                .readings
                .iter()
                .filter(|r| r.part == TOTAL && SPAWN_TO_EXIT.contains(&r.metric));
            ours.push((round, whole.map(|reading| reading.value).sum()));
        }
    }
    let (ours, theirs) = (Series::new(ours), Series::new(theirs));
    let name = "harness: process, spawn to exit, of hyperfine";
    println!("{}", Bound::AtMost(1.05).line(name, &ours, &theirs));
    Ok(())
}

/// Seconds of each run.
fn hyperfine(workload: &Path, json: PathBuf) -> anyhow::Result<Vec<f64>> {
    let status = Command::new("hyperfine")
        .args([
            "-N",
            "--warmup",
            "2",
            "--style",
            "none",
            "--output=pipe",
            "--runs",
        ])
        .arg(STARTS.to_string())
        .arg("--export-json")
        .arg(&json)
        .arg(format!("{} ready", workload.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("cannot run hyperfine")?;
    anyhow::ensure!(status.success(), "hyperfine failed with {status}");
    let results: serde_json::Value = serde_json::from_slice(&fs::read(json)?)?;
    let times = results["results"][0]["times"]
        .as_array()
        .context("hyperfine's JSON has no times")?;
    Ok(times.iter().filter_map(serde_json::Value::as_f64).collect())
}
