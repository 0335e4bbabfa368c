//! isobench's side: the bare process, measured by the experiments that `isobench run` has.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use isobench::experiments::profile::Profile;
use isobench::experiments::{self, Case, ContentsId, Experiment, Time};
use isobench::host::facts::HostReport;
use isobench::host::interrupt::Interrupt;
use isobench::host::programs::Programs;
use isobench::instance::command_line::CommandLine;
use isobench::instance::{Instance, Stdin};
use isobench::suite::testbed::{Candidate, Testbed};
use isobench::targets::{self, Daemons};
use isobench::timing::command::TimedCommand;
use isobench::timing::root::Roots;
use isobench::timing::settings::Settings;
use isobench_reports::model::TOTAL;
use isobench_reports::schema;

/// The amounts of work: those of a run whose figures are worth quoting.
pub const PROFILE: Profile = Profile::Standard;

/// What isobench measures with.
pub struct Own {
    /// Prepared for the bare process alone.
    pub testbed: Testbed,
    /// The program that is started.
    pub workload: PathBuf,
    /// Never fires: Ctrl-C ends the comparison, and what is left goes with the next run.
    pub interrupt: Interrupt,
    experiments: Vec<Box<dyn Experiment>>,
    /// `isobench time` of the workload.
    time: Time,
}

impl Own {
    pub fn assemble() -> anyhow::Result<Self> {
        // cargo puts examples into a directory beside the programs.
        let own = std::env::current_exe()?;
        let programs = Programs::in_directory(own.ancestors().nth(2).unwrap_or(Path::new(".")))?;
        let host = HostReport::inspect(&programs);
        let process = targets::choose(
            targets::all(&programs, Daemons::UseRunning),
            Some(&["process".to_owned()]),
        )?;
        let time = time_of(&programs.workload)?;
        Ok(Self {
            time,
            testbed: Testbed::assemble(
                &Candidate::inspect(process, &host),
                &programs,
                experiments::disk_size(PROFILE),
            )?,
            workload: programs.workload,
            interrupt: Interrupt::never()?,
            experiments: experiments::all(PROFILE),
        })
    }

    /// One run of the workload by `isobench time`, from its spawn to its end, in nanoseconds.
    pub fn time(&self) -> anyhow::Result<f64> {
        let context = self.testbed.context(&self.interrupt);
        let measured = self.time.measure(0, &self.testbed.targets[0], &context)?;
        let mut readings = measured.readings.iter();
        let whole = readings.find(|one| one.part == TOTAL && one.metric == schema::time::END.name);
        Ok(whole.context("no value of `end`")?.value)
    }

    /// The values of `metrics`, in their order, of one sample of an experiment's case that has them.
    pub fn sample(&self, experiment: &str, metrics: &[&str]) -> anyhow::Result<Vec<f64>> {
        let mut known = self.experiments.iter();
        let experiment = known
            .find(|known| known.info().name == experiment)
            .with_context(|| format!("no experiment {experiment}"))?;
        let has_all = |case: &Case| metrics.iter().all(|metric| case.metrics.contains(metric));
        let case = experiment.info().cases.iter().position(has_all);
        let case = case.with_context(|| format!("no case has {metrics:?}"))?;
        let context = self.testbed.context(&self.interrupt);
        let measured = experiment.measure(case, &self.testbed.targets[0], &context)?;
        let value = |metric: &&str| {
            let mut readings = measured.readings.iter();
            let reading = readings.find(|r| r.part == TOTAL && r.metric == *metric);
            reading
                .map(|reading| reading.value)
                .with_context(|| format!("no value of {metric}"))
        };
        metrics.iter().map(value).collect()
    }

    /// The file that disk figures are of.
    pub fn disk(&self) -> &Path {
        self.testbed.context(&self.interrupt).disk
    }

    /// Starts the workload as a bare process.
    pub fn start(&self, arguments: &[&str], stdin: Stdin) -> anyhow::Result<Instance<'_>> {
        let command = CommandLine::new(&self.workload).args(arguments);
        let limit = self.testbed.context(&self.interrupt).limit;
        Ok(Instance::start(&command, stdin, limit, &self.interrupt)?)
    }
}

/// `isobench time` of a static program that writes one line.
fn time_of(workload: &Path) -> anyhow::Result<Time> {
    let command = vec![workload.into(), "ready".into()];
    let command = TimedCommand::new(Settings::default(), command)?;
    // No directory is copied, so nothing is written to the place of copies.
    let program = Roots::new(Path::new("/")).resolve(&command)?;
    Ok(Time::new(command, program, ContentsId::WORKLOAD))
}
