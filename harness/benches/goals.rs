//! The goals that the README states, each as a ratio to a named floor or peer measured in the same interleaved run.
//!
//! Printed, not asserted: a shared or busy host must not fail a build by its timing. `cargo bench --bench goals`
#![expect(
    clippy::print_stdout,
    reason = "a benchmark's figures are for whoever watches it"
)]

use std::path::Path;
use std::process::ExitCode;

use isobench::experiments::profile::Profile;
use isobench::experiments::{self, Experiment};
use isobench::host::facts::HostReport;
use isobench::host::interrupt::Interrupt;
use isobench::host::programs::Programs;
use isobench::suite::goal::{Bound, Goal, series};
use isobench::suite::progress::Progress;
use isobench::suite::runner::Runner;
use isobench::suite::stop::StopOptions;
use isobench::suite::testbed::{Candidate, Testbed};
use isobench::targets::{self, Daemons};
use isobench_reports::schema::{disk, memory, start_warm, startup};

const READY: &[&str] = &["ready"];
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
        experiment: disk::NAME,
        metrics: &["seq-read-direct"],
        target: "microvm-bare",
        baseline: "process",
        bound: Bound::AtLeast(0.9),
    },
];

/// Ways to start beside a cold start of the same target, in one run: target, way, cold start, and the most.
const WARM_GOALS: [(&str, &str, &str, f64); 4] = [
    ("microvm-bare", "restore", "cold", 0.4),
    ("microvm-bare", "fork", "cold", 0.4),
    ("microvm-bare", "pool-least", "cold-least", 0.15),
    ("container", "pool-least", "cold-least", 0.2),
];

const fn startup(
    target: &'static str,
    metrics: &'static [&'static str],
    baseline: &'static str,
    most: f64,
) -> Goal {
    Goal {
        experiment: startup::NAME,
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
        Err(error) => isobench::commands::failure::report(&error),
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
    let testbed = Testbed::assemble(
        &Candidate::inspect(
            targets::choose(
                targets::all(&programs, Daemons::UseRunning),
                Some(&compared()),
            )?,
            &host,
        ),
        &programs,
        experiments::disk_size(profile),
    )?;

    println!("goal                                                     measured");
    let mut experiments: Vec<Box<dyn Experiment>> = experiments::all(profile);
    experiments.retain(|experiment| {
        [startup::NAME, start_warm::NAME, memory::NAME, disk::NAME]
            .contains(&&*experiment.info().name)
    });
    let runner = Runner {
        experiments: &experiments,
        targets: &testbed.targets,
        unavailable: &testbed.unavailable,
        profile,
        seed: 0,
        stop_options: StopOptions::default(),
    };
    let taken = runner.run(
        &testbed.context(&interrupt),
        Progress::silent(),
        &mut |_| {},
    );
    for goal in &GOALS {
        println!("{}", goal.result_line(&taken.samples));
    }
    for (target, way, cold, most) in WARM_GOALS {
        let series = |metric| series(&taken.samples, start_warm::NAME, &[metric], target);
        let name = format!("{target}: {way} of its {cold}");
        let bound = Bound::AtMost(most);
        println!("{}", bound.result_line(&name, &series(way), &series(cold)));
    }
    for (target, most) in [("container", 1.0), ("microvm-bare", 3.0)] {
        let charge = series(&taken.samples, memory::NAME, &["charge"], target);
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
