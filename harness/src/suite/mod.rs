//! One run of the suite, from the choice of targets to the report on disk: what `isobench run` and `cargo bench` do.

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
pub mod values;

use std::path::PathBuf;
use std::time::Instant;

use bytesize::ByteSize;
use isobench_reports::Output;
use isobench_reports::model::{Run, Sample};
use jiff::Timestamp;
use rand::RngExt as _;

use crate::experiments::{self, DiskFile};
use crate::host::facts::HostReport;
use crate::host::interrupt::Interrupt;
use crate::host::programs::Programs;
use crate::host::tune::TunedHost;
use crate::suite::options::Options;
use crate::suite::progress::Progress;
use crate::suite::record::{Record, Sampling};
use crate::suite::request::Request;
use crate::suite::runner::Runner;
use crate::suite::testbed::{Candidate, Testbed};

/// What a run leaves.
#[derive(Debug)]
pub struct Finished {
    /// The results.
    pub run: Run,
    /// The report that was written.
    pub report: PathBuf,
}

/// Runs the suite.
///
/// # Errors
/// [`RequestError`](request::RequestError) for names that can't be; else what failed. A target or
/// sample that fails is no error: the results say so.
pub fn run(
    options: &Options,
    programs: &Programs,
    interrupt: &Interrupt,
) -> anyhow::Result<Finished> {
    if let Some(processors) = &options.pin {
        processors.pin_this_thread()?;
    }
    let request = Request::of(options, programs)?;
    let started = Timestamp::now();
    let mut output = results_directory::claim(options.out.as_deref(), started)?;
    // TunedHost before the host is looked at: the report says what the figures were taken with.
    let tune_root = options.tune.then_some(&options.tune_root);
    let tuned = tune_root.map(|root| TunedHost::begin(root)).transpose()?;
    let host = HostReport::inspect(programs);
    let candidates = Candidate::inspect(request.targets, &host);
    let seed = options.seed.unwrap_or_else(|| rand::rng().random());
    let mut record = Record::begin(
        started,
        options.profile,
        seed,
        &host,
        &candidates,
        &request.experiments,
    );
    // Writing the disk file takes a while, and many runs don't want one.
    let mut infos = request
        .experiments
        .iter()
        .map(|experiment| experiment.info());
    let wants_disk = infos.any(|info| info.disk_file == DiskFile::Used);
    let disk_size = if wants_disk {
        experiments::disk_size(options.profile)
    } else {
        ByteSize(0)
    };
    let testbed = Testbed::assemble(candidates, programs, disk_size)?
        .with_injections(request.injections)
        .with_limit(options.sample_limit);
    record = record.with_rig(&testbed);
    if let Some(tuned) = &tuned {
        record = record.with_tuning(tuned);
    }
    record = record.with_instrument(instrument::measure(
        &programs.workload,
        options.profile,
        interrupt,
    ));
    let runner = Runner {
        experiments: &request.experiments,
        targets: &testbed.targets,
        profile: options.profile,
        seed,
        until: options.until,
    };
    let sampling = take_samples(&record, &runner, &testbed, interrupt, &mut output);
    let not_put_back = tuned.and_then(|tuned| tuned.end().err());
    let late_warnings = not_put_back.iter().map(ToString::to_string).collect();
    let run = record.finish(sampling, late_warnings);
    let report = output.write(&run, options.baseline.as_deref())?.html;
    Ok(Finished { run, report })
}

/// Takes the samples of the plan, and saves those so far from time to time.
fn take_samples(
    record: &Record,
    runner: &Runner,
    testbed: &Testbed,
    interrupt: &Interrupt,
    output: &mut Output,
) -> Sampling {
    let planned = runner.steps().len();
    let progress = match runner.until.precision {
        Some(_) => Progress::open_ended(),
        None => Progress::new(planned),
    };
    Sampling::of(|begun: Instant| {
        let mut checkpoint = |samples: &[Sample]| {
            // A disk that is full now says so at the end of the run, where it's an error.
            let _ = output.checkpoint(&record.so_far(samples, begun.elapsed()));
        };
        runner.run(&testbed.context(interrupt), progress, &mut checkpoint)
    })
}
