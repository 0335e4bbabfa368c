//! The statistics on real runs of this host: a target beside itself, which must show no difference, and a delay of a known
//! size, which must be found inside its interval.
//!
//! Printed, not asserted: a shared or busy host must not fail a build by its timing. `cargo bench --bench honesty`
#![expect(
    clippy::print_stdout,
    reason = "a benchmark's figures are for whoever watches it"
)]

use std::process::ExitCode;
use std::time::Duration;

use isobench::experiments;
use isobench::experiments::profile::Profile;
use isobench::host::facts::HostReport;
use isobench::host::interrupt::Interrupt;
use isobench::host::programs::Programs;
use isobench::suite::progress::Progress;
use isobench::suite::runner::Runner;
use isobench::suite::stop::StopOptions;
use isobench::suite::testbed::{Candidate, Testbed};
use isobench::targets::{self, Daemons};
use isobench_reports::figures::summary::{MINIMUM_EFFECT, SIGNIFICANCE, is_large};
use isobench_reports::model::{Injection, Sample, Status, TOTAL};
use isobench_reports::schema::startup;
use isobench_reports::statistics::Series;
use isobench_reports::statistics::permutation::holm;

/// Runs of each kind.
const RUNS: u64 = 20;

/// What is added to the twin in the second kind.
const DELAY: Duration = Duration::from_micros(500);

/// The figures of a start that each run has.
const METRICS: [&str; 3] = ["ready", "ready-ordinary", "exit"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let filters: Vec<_> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let asked = filters.is_empty() || filters.iter().any(|filter| "honesty".contains(*filter));
    if !arguments.iter().any(|argument| argument == "--bench") || !asked {
        return ExitCode::SUCCESS;
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => isobench::commands::failure::report(&error),
    }
}

fn measure() -> anyhow::Result<()> {
    let isobench = std::path::Path::new(env!("CARGO_BIN_EXE_isobench"));
    let programs = Programs::in_directory(isobench.parent().unwrap_or(isobench))?;
    let host = HostReport::inspect(&programs);
    let process = targets::all(&programs, Daemons::UseRunning)
        .into_iter()
        .filter(|target| target.info().name == "process");
    let targets = process.chain([targets::twin()]).collect();
    let disk = experiments::disk_size(Profile::Quick);
    let mut testbed = Testbed::assemble(&Candidate::inspect(targets, &host), &programs, disk)?;
    let interrupt = Interrupt::install()?;

    let same = (0..RUNS)
        .filter(|run| is_same(&take(&testbed, &interrupt, *run)))
        .count();
    println!("a target beside itself: no difference in {same} of {RUNS} runs");
    testbed.injections.push(Injection {
        target: "process-twin".to_owned(),
        experiment: startup::NAME.to_owned(),
        delay_ns: u64::try_from(DELAY.as_nanos())?,
    });
    let found = (0..RUNS)
        .filter(|run| is_found(&take(&testbed, &interrupt, RUNS + *run)))
        .count();
    println!("a delay of {DELAY:?}: inside its interval in {found} of {RUNS} runs");
    Ok(())
}

/// The samples of one quick run's start-ups.
fn take(testbed: &Testbed, interrupt: &Interrupt, seed: u64) -> Vec<Sample> {
    let startup: Vec<_> = experiments::all(Profile::Quick)
        .into_iter()
        .filter(|experiment| experiment.info().name == startup::NAME)
        .collect();
    let runner = Runner {
        experiments: &startup,
        targets: &testbed.targets,
        unavailable: &testbed.unavailable,
        profile: Profile::Quick,
        seed,
        stop_options: StopOptions::default(),
    };
    let progress = Progress::silent();
    runner
        .run(&testbed.context(interrupt), progress, &mut |_| {})
        .samples
}

fn sides(samples: &[Sample], metric: &str) -> [Series; 2] {
    ["process-twin", "process"].map(|target| {
        Series::new(samples.iter().filter_map(|sample| {
            let wanted = sample.target == target
                && sample.metric == metric
                && sample.part == TOTAL
                && sample.status == Status::Ok;
            wanted.then_some((sample.round, sample.value?))
        }))
    })
}

/// Whether no figure shows a difference, by the report's own rule.
fn is_same(samples: &[Sample]) -> bool {
    let figures = METRICS.map(|metric| {
        let [twin, process] = sides(samples, metric);
        let ratio = twin.ratio(&process).unwrap_or(f64::INFINITY);
        (ratio, twin.evidence(&process).p)
    });
    let corrected = holm(&figures.map(|(_, p)| p));
    let differs = |((ratio, _), p): (&(f64, f64), &f64)| {
        *p < SIGNIFICANCE && is_large(*ratio, MINIMUM_EFFECT)
    };
    !figures.iter().zip(&corrected).any(differs)
}

/// Whether the interval of the difference holds the delay.
fn is_found(samples: &[Sample]) -> bool {
    let [twin, process] = sides(samples, METRICS[0]);
    let interval = twin.difference_interval(&process);
    interval.is_some_and(|interval| interval.holds(DELAY.as_nanos() as f64))
}
