//! One run of the suite, from the choice of targets to the report on disk: what `isobench run` and `cargo bench` do.

pub mod bench_rig;
pub mod goal;
pub mod injection;
pub mod instrument;
pub mod plan;
pub mod progress;
mod results_directory;
pub mod rig;
pub mod runner;
pub mod stop;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use isobench_reports::Output;
use isobench_reports::model::{self, ClockOffset, Run, SCHEMA_VERSION, Sample};
use jiff::Timestamp;
use rand::RngExt as _;

use crate::BadInput;
use crate::experiments::profile::Profile;
use crate::experiments::{self, Experiment};
use crate::host::clock::wall_clock_offset;
use crate::host::cpu_time;
use crate::host::facts::{HostReport, Interference, Verdict};
use crate::host::interrupt::Interrupt;
use crate::host::programs::Programs;
use crate::host::tune::Tuned;
use crate::suite::injection::Wish;
use crate::suite::progress::Progress;
use crate::suite::rig::{Candidate, Rig};
use crate::suite::runner::Runner;
use crate::suite::stop::Until;
use crate::targets::{self, Daemons, Presence, Target, TargetInfo, UnknownTarget};

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Names of targets and of groups of them; those that start quickly if `None`.
    pub targets: Option<Vec<String>>,
    /// Whose daemons the peers talk to that need one.
    pub daemons: Daemons,
    /// Names of experiments; those that a run has unasked if `None`.
    pub experiments: Option<Vec<String>>,
    /// How much time to take.
    pub profile: Profile,
    /// Seed of the order; drawn if `None`.
    pub seed: Option<u64>,
    /// Name of the target that ratios refer to; the bare process if `None`.
    pub baseline: Option<String>,
    /// When to stop, if not after the rounds of the profile.
    pub until: Until,
    /// Where the kernel's files are, if settings of the host may be changed for the run.
    pub tune: Option<PathBuf>,
    /// Delays to add on purpose.
    pub injections: Vec<Wish>,
    /// How long one instance may take; as long as is usual if `None`.
    pub limit: Option<Duration>,
    /// Whether the bare process is measured twice, as two targets.
    pub twin: bool,
    /// Directory to write to; a dated one if `None`.
    pub out: Option<PathBuf>,
}

/// What a run leaves.
#[derive(Debug)]
pub struct Finished {
    /// The results.
    pub run: Run,
    /// The report that was written.
    pub report: PathBuf,
    /// Name of the target that ratios refer to, if another than the bare process.
    pub baseline: Option<String>,
}

/// Runs the suite.
///
/// # Errors
/// [`BadInput`] for names and directories that can't be; else what failed. A target or sample that fails is
/// no error: it's in the results.
pub fn run(
    options: &Options,
    programs: &Programs,
    interrupt: &Interrupt,
) -> anyhow::Result<Finished> {
    let targets = targets(options, programs)?;
    let injections = injections(&targets, &options.injections)?;
    check_baseline(&targets, options.baseline.as_deref())?;
    let experiments = experiments(options)?;
    let started = Timestamp::now();
    let mut output = results_directory::claim(options.out.as_deref(), started)?;
    let seed = options.seed.unwrap_or_else(|| rand::rng().random());
    // Before the host is looked at: the report says what the figures were taken with.
    let tuned = options.tune.as_deref().map(Tuned::begin).transpose()?;
    let host = HostReport::inspect(programs);
    let candidates = Candidate::inspect(targets, &host);
    let mut run = describe(
        &candidates,
        &experiments,
        &host,
        options.profile,
        seed,
        started,
    );
    // Writing the file takes a while, and many runs don't want it.
    let disk_size = if experiments.iter().any(|experiment| experiment.uses_disk()) {
        experiments::disk_size(options.profile)
    } else {
        ByteSize(0)
    };
    let mut rig = Rig::assemble(candidates, programs, disk_size)?;
    rig.injections.clone_from(&injections);
    rig.limit = options.limit.unwrap_or(rig.limit);
    run.conduct.injections = injections;
    tell_what_is_amiss(&mut run, &rig, tuned.as_ref());
    let runner = Runner {
        experiments: &experiments,
        subjects: &rig.subjects,
        profile: options.profile,
        seed,
        until: options.until,
    };
    measure_instrument(&mut run, programs, options.profile, interrupt);
    take_samples(&mut run, &runner, &rig, interrupt, &mut output);
    if let Some(error) = tuned.and_then(|tuned| tuned.end().err()) {
        run.warnings.push(error.to_string());
    }
    let baseline = options.baseline.clone();
    let report = output.write(&run, baseline.as_deref())?.html;
    Ok(Finished {
        run,
        report,
        baseline,
    })
}

/// Tells of what this host can't run, account or tune, and of what was tuned.
fn tell_what_is_amiss(run: &mut Run, rig: &Rig, tuned: Option<&Tuned>) {
    if let Err(error) = &rig.accounting {
        run.warnings
            .push(format!("memory is not accounted by cgroup: {error}"));
    }
    for absent in &rig.absent {
        let of_target = |target: &&mut model::Target| target.name == absent.info.name;
        if let Some(target) = run.targets.iter_mut().find(of_target) {
            target.unavailable = Some(absent.why.clone());
        }
    }
    if let Some(tuned) = tuned {
        run.conduct.tuned.clone_from(&tuned.changed);
        let refused = tuned.refused.iter();
        run.warnings
            .extend(refused.map(|reason| format!("not tuned: {reason}")));
    }
}

/// The targets that were asked for.
fn targets(options: &Options, programs: &Programs) -> Result<Vec<Box<dyn Target>>, UnknownTarget> {
    let all = targets::all(programs, options.daemons);
    let mut targets = targets::choose(all, options.targets.as_deref())?;
    targets.extend(options.twin.then(targets::twin));
    Ok(targets)
}

/// The experiments that were asked for, or those that need not be.
fn experiments(options: &Options) -> Result<Vec<Box<dyn Experiment>>, BadInput> {
    let mut all = experiments::all(options.profile);
    if options.experiments.is_none() {
        all.retain(|experiment| experiment.is_default());
    }
    let wanted = options.experiments.as_deref();
    choose(all, wanted, "experiment", |experiment| experiment.name())
}

fn take_samples(
    run: &mut Run,
    runner: &Runner,
    rig: &Rig,
    interrupt: &Interrupt,
    output: &mut Output,
) {
    let clock = Instant::now();
    let own_before = cpu_time::of_process();
    let interference = Interference::now();
    let before_ns = wall_clock_offset();
    let mut checkpoint = |samples: &[Sample]| {
        let mut so_far = run.clone();
        so_far.partial = true;
        so_far.duration_seconds = clock.elapsed().as_secs_f64();
        so_far.samples.extend_from_slice(samples);
        // A disk that is full now says so at the end of the run, where it's an error.
        let _ = output.checkpoint(&so_far);
    };
    let planned = runner.steps().len();
    let progress = match runner.until.precision {
        Some(_) => Progress::open_ended(),
        None => Progress::new(planned),
    };
    let taken = runner.run(&rig.bench(interrupt), progress, &mut checkpoint);
    run.partial = taken.interrupted;
    run.conduct.stop = taken.stop;
    run.conduct.clock = Some(ClockOffset {
        before_ns,
        after_ns: wall_clock_offset(),
    });
    run.duration_seconds = clock.elapsed().as_secs_f64();
    let own = cpu_time::of_process().saturating_sub(own_before);
    run.conduct.harness_cpu_seconds = Some(own.saturating_sub(taken.host_work).as_secs_f64());
    run.conduct.host_work_cpu_seconds =
        (!taken.host_work.is_zero()).then_some(taken.host_work.as_secs_f64());
    run.warnings.extend(Interference::now().since(interference));
    run.samples.extend(taken.samples);
}

/// The instrument is measured in every run; what can't be measured is a warning, and no figure.
fn measure_instrument(run: &mut Run, programs: &Programs, profile: Profile, interrupt: &Interrupt) {
    match instrument::measure(&programs.workload, profile, interrupt) {
        Ok(instrument) => run.conduct.instrument = Some(instrument),
        Err(error) => run.warnings.push(format!(
            "the instrument was not measured: {:#}",
            anyhow::Error::new(error)
        )),
    }
}

fn injections(
    targets: &[Box<dyn Target>],
    wishes: &[Wish],
) -> Result<Vec<model::Injection>, BadInput> {
    let wanted: Vec<_> = wishes
        .iter()
        .map(|wish| wish.injections(targets))
        .collect::<Result<_, _>>()?;
    Ok(wanted.concat())
}

/// Picks those that were asked for, in their own order.
fn choose<T>(
    all: Vec<T>,
    wanted: Option<&[String]>,
    kind: &str,
    name: impl Fn(&T) -> &'static str,
) -> Result<Vec<T>, BadInput> {
    let Some(wanted) = wanted else { return Ok(all) };
    let known: Vec<_> = all.iter().map(&name).collect();
    if let Some(unknown) = wanted
        .iter()
        .find(|wanted| !known.contains(&wanted.as_str()))
    {
        return Err(BadInput(format!(
            "unknown {kind} `{unknown}`; choose among {}",
            known.join(", ")
        )));
    }
    Ok(all
        .into_iter()
        .filter(|item| wanted.iter().any(|wanted| wanted == name(item)))
        .collect())
}

/// A baseline that isn't measured would leave a run without a single ratio.
fn check_baseline(targets: &[Box<dyn Target>], wanted: Option<&str>) -> Result<(), BadInput> {
    match wanted {
        Some(name) if targets.iter().all(|target| target.info().name != name) => {
            Err(BadInput(format!(
                "the baseline `{name}` isn't among the targets of this run; choose among {}",
                targets::names(targets)
            )))
        }
        _ => Ok(()),
    }
}

fn describe(
    candidates: &[Candidate],
    experiments: &[Box<dyn Experiment>],
    host: &HostReport,
    profile: Profile,
    seed: u64,
    started: Timestamp,
) -> Run {
    let infos: Vec<&TargetInfo> = candidates
        .iter()
        .map(|candidate| candidate.target.info())
        .collect();
    Run {
        schema: SCHEMA_VERSION,
        tool: "isobench".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        duration_seconds: 0.0,
        partial: false,
        profile: profile.name().to_owned(),
        seed,
        host: host.describe(),
        targets: candidates
            .iter()
            .map(|candidate| describe_target(candidate.target.info(), &candidate.presence))
            .collect(),
        experiments: experiments
            .iter()
            .map(|experiment| experiment.describe(&infos))
            .collect(),
        conduct: model::Conduct::default(),
        warnings: host
            .findings
            .iter()
            .filter(|finding| finding.verdict == Verdict::Concern)
            .filter_map(|finding| finding.fact().warning())
            .collect(),
        samples: Vec::new(),
    }
}

/// A target as results files have it.
fn describe_target(info: &TargetInfo, presence: &Presence) -> model::Target {
    model::Target {
        name: info.name.to_owned(),
        description: info.description.to_owned(),
        kind: info.kind,
        version: presence.version.clone(),
        floor: info.floor.map(str::to_owned),
        differences: info.differences.iter().map(|&s| s.to_owned()).collect(),
        unavailable: presence.unavailable.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let error = choose(
            vec!["a", "b"],
            Some(&["b".to_owned(), "c".to_owned()]),
            "target",
            |t| t,
        )
        .unwrap_err();
        assert_eq!(error.to_string(), "unknown target `c`; choose among a, b");
        assert_eq!(
            choose(vec!["a", "b"], Some(&["b".to_owned()]), "target", |t| t).unwrap(),
            ["b"]
        );
    }
}
