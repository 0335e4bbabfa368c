//! One run of the suite, from the choice of targets to the report on disk. `isobench run` and
//! `cargo bench` both run the suite.

pub mod bench_testbed;
pub mod goal;
pub mod injection;
pub mod instrument;
pub mod options;
pub mod plan;
pub mod progress;
mod record;
pub mod request;
mod results_directory;
pub mod runner;
pub mod stop;
pub mod testbed;
pub mod timed_request;

use std::path::PathBuf;
use std::time::Instant;

use bytesize::ByteSize;
use isobench_reports::Output;
use isobench_reports::model::{Run, Sample};
use jiff::Timestamp;
use rand::RngExt as _;

use crate::experiments::profile::Profile;
use crate::experiments::{self, DiskFile, Experiment};
use crate::host::facts::HostReport;
use crate::host::interrupt::Interrupt;
use crate::host::programs::Programs;
use crate::host::session::{Medium, PlaceNeeds, Session};
use crate::host::tune::TunedHost;
use crate::streams::tell;
use crate::suite::options::{ConductOptions, Options};
use crate::suite::progress::Progress;
use crate::suite::record::{RunRecord, Sampling};
use crate::suite::request::{Request, RequestError};
use crate::suite::runner::{FailedTarget, Runner};
use crate::suite::testbed::{Candidate, Testbed};

/// The results of a finished run.
#[derive(Debug)]
pub struct FinishedRun {
    /// The results.
    pub run: Run,
    /// The path of the report.
    pub report: PathBuf,
    /// The targets that have failed every sample of an experiment.
    pub failed_targets: Vec<FailedTarget>,
}

/// Runs the suite.
///
/// # Errors
/// [`RequestError`](request::RequestError) for an unknown name, otherwise the error of the step
/// that failed. A target or sample that fails is no error: the results hold the reason.
pub fn run(
    options: &Options,
    programs: &Programs,
    interrupt: &Interrupt,
) -> anyhow::Result<FinishedRun> {
    let request = Request::of(options, programs)?;
    let session = Session::open(&place_needs(&request))?;
    measure(request, &options.conduct, session, programs, interrupt)
}

/// Measures what is requested, in an open session, and writes the results.
///
/// # Errors
/// The error of the step that failed, or [`Stopped`](crate::host::interrupt::Stopped) if the user
/// stops the run before its first sample. A target or sample that fails is no error: the results
/// hold the reason.
pub fn measure(
    request: Request,
    options: &ConductOptions,
    session: Session,
    programs: &Programs,
    interrupt: &Interrupt,
) -> anyhow::Result<FinishedRun> {
    if let Some(processors) = &options.pin {
        processors.pin_this_thread()?;
    }
    let started = Timestamp::now();
    let mut output = results_directory::claim(options.out.as_deref(), started)?;
    // The host is tuned before it is inspected: the report describes the host as it was measured.
    let tune_root = options.tune.then_some(&options.tune_root);
    let tuned = tune_root.map(|root| TunedHost::begin(root)).transpose()?;
    let host = HostReport::inspect(programs);
    let candidates = Candidate::inspect(request.targets, &host);
    interrupt.check()?;
    let seed = options.seed.unwrap_or_else(|| rand::rng().random());
    let experiments = request.experiments;
    let mut record = RunRecord::begin(
        started,
        request.profile_name,
        seed,
        &host,
        &candidates,
        &request.contents,
        &experiments,
    );
    let assembled = Testbed::assemble_in(
        session,
        &candidates,
        &request.contents,
        &request.controllers,
        programs,
        disk_size(&experiments, request.profile),
    );
    let testbed = interrupt
        .explain(assembled)?
        .with_injections(request.injections)
        .with_limit(request.sample_limit);
    record = record.with_testbed(&testbed);
    if let Some(tuned) = &tuned {
        record = record.with_tuning(tuned);
    }
    let profile = request.profile;
    record = record.with_instrument(instrument::measure(&programs.workload, profile, interrupt));
    interrupt.check()?;
    let runner = Runner {
        experiments: &experiments,
        targets: &testbed.targets,
        unavailable: &testbed.unavailable,
        profile,
        seed,
        stop_options: options.stop_options,
    };
    if request.announces_gaps {
        announce_gaps(&runner)?;
    }
    let sampling = take_samples(&record, &runner, &testbed, interrupt, &mut output);
    finish(record, sampling, tuned, &output, options)
}

/// Puts the host's settings back, and writes the results of a run whose samples are taken.
fn finish(
    record: RunRecord,
    sampling: Sampling,
    tuned: Option<TunedHost>,
    output: &Output,
    options: &ConductOptions,
) -> anyhow::Result<FinishedRun> {
    let not_restored = tuned.and_then(|tuned| tuned.end().err());
    let late_warnings = not_restored.iter().map(ToString::to_string).collect();
    let failed_targets = sampling.failed_targets().to_vec();
    let run = record.finish(sampling, late_warnings);
    let report = output.write(&run, options.baseline.as_deref())?.html;
    Ok(FinishedRun {
        run,
        report,
        failed_targets,
    })
}

/// Says on standard error what can't be measured, and why, one line for each target and reason.
fn announce_gaps(runner: &Runner) -> Result<(), RequestError> {
    for gap in runner.gaps() {
        tell(gap);
    }
    if runner.has_no_target_for_commands() {
        return Err(RequestError::NoTarget);
    }
    Ok(())
}

/// What the run needs of the directory with its files.
fn place_needs(request: &Request) -> PlaceNeeds {
    let mut infos = request
        .experiments
        .iter()
        .map(|experiment| experiment.info());
    let on_disk = infos.any(|info| info.medium == Medium::Disk);
    let file = disk_size(&request.experiments, request.profile);
    PlaceNeeds {
        medium: if on_disk { Medium::Disk } else { Medium::Any },
        space: PlaceNeeds::OF_PROGRAMS.space + file,
    }
}

/// The size of the disk file that a run needs. Many runs need no disk file, and to write it takes a
/// while.
fn disk_size(experiments: &[Box<dyn Experiment>], profile: Profile) -> ByteSize {
    let mut infos = experiments.iter().map(|experiment| experiment.info());
    if infos.any(|info| info.disk_file == DiskFile::Used) {
        experiments::disk_size(profile)
    } else {
        ByteSize(0)
    }
}

/// Takes the planned samples. Meanwhile, the samples so far are saved at intervals.
fn take_samples(
    record: &RunRecord,
    runner: &Runner,
    testbed: &Testbed,
    interrupt: &Interrupt,
    output: &mut Output,
) -> Sampling {
    let progress = match runner.stop_options.precision {
        Some(_) => Progress::open_ended(),
        None => Progress::new(runner.plan().len()),
    };
    Sampling::of(|begun: Instant| {
        let mut checkpoint = |samples: &[Sample]| {
            // A checkpoint may fail, for example on a full disk. The write at the run's end then
            // fails as well, and that failure is an error.
            let _ = output.checkpoint(&record.so_far(samples, begun.elapsed()));
        };
        runner.run(&testbed.context(interrupt), progress, &mut checkpoint)
    })
}
