//! The results of a run, gathered while the run goes on. Each step of a run hands over what it has
//! found; [`Record::finish`] gives the value that is written.

use std::time::{Duration, Instant};

use isobench_reports::model::{ClockOffset, Conduct, Host, Run, SCHEMA_VERSION, Sample, Target};
use jiff::Timestamp;

use super::instrument::InstrumentError;
use super::runner::Taken;
use super::testbed::{Candidate, Testbed};
use crate::experiments::Experiment;
use crate::experiments::profile::Profile;
use crate::host::clock::wall_clock_offset;
use crate::host::cpu_time;
use crate::host::facts::{HostReport, Interference, Severity};
use crate::host::tune::TunedHost;
use crate::targets::{Availability, TargetInfo};

/// What is known of a run before its samples are taken.
#[derive(Debug)]
pub struct Record {
    started: Timestamp,
    profile: Profile,
    seed: u64,
    host: Host,
    targets: Vec<Target>,
    experiments: Vec<isobench_reports::model::Experiment>,
    conduct: Conduct,
    warnings: Vec<String>,
}

impl Record {
    /// A run that begins: its profile, the seed of its order, its host, and what it was asked for.
    pub fn begin(
        started: Timestamp,
        profile: Profile,
        seed: u64,
        host: &HostReport,
        candidates: &[Candidate],
        experiments: &[Box<dyn Experiment>],
    ) -> Self {
        let infos: Vec<&TargetInfo> = candidates
            .iter()
            .map(|candidate| candidate.target.info())
            .collect();
        let concerns = host
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Concern);
        Self {
            started,
            profile,
            seed,
            host: host.describe(),
            targets: candidates
                .iter()
                .map(|candidate| describe(candidate.target.info(), &candidate.availability))
                .collect(),
            experiments: experiments
                .iter()
                .map(|experiment| experiment.info().describe(&infos))
                .collect(),
            conduct: Conduct::default(),
            warnings: concerns
                .filter_map(|finding| finding.fact().warning())
                .collect(),
        }
    }

    /// Adds what the host could not prepare or account, and the delays that are added on purpose.
    #[must_use]
    pub fn with_rig(mut self, testbed: &Testbed) -> Self {
        if let Err(error) = &testbed.accounting {
            self.warnings
                .push(format!("memory is not accounted by cgroup: {error}"));
        }
        for target in &mut self.targets {
            let absent = testbed
                .absent
                .iter()
                .find(|one| one.info.name == target.name);
            if let Some(absent) = absent {
                target.unavailable = Some(absent.why.clone());
            }
        }
        self.conduct.injections.clone_from(&testbed.injections);
        self
    }

    /// Adds the settings of the host that were changed, and those that could not be.
    #[must_use]
    pub fn with_tuning(mut self, tuned: &TunedHost) -> Self {
        self.conduct.tuned.clone_from(&tuned.changed);
        let refused = tuned.refused.iter();
        self.warnings
            .extend(refused.map(|reason| format!("not tuned: {reason}")));
        self
    }

    /// Adds what the instrument measured of itself. An instrument that can't be measured is a warning,
    /// and no figure.
    #[must_use]
    pub fn with_instrument(
        mut self,
        instrument: Result<isobench_reports::model::Instrument, InstrumentError>,
    ) -> Self {
        match instrument {
            Ok(instrument) => self.conduct.instrument = Some(instrument),
            Err(error) => self.warnings.push(format!(
                "the instrument was not measured: {:#}",
                anyhow::Error::new(error)
            )),
        }
        self
    }

    /// The results as they are while samples are still taken, for a checkpoint.
    pub fn so_far(&self, samples: &[Sample], elapsed: Duration) -> Run {
        self.run(
            self.conduct.clone(),
            self.warnings.clone(),
            Extent {
                samples: samples.to_vec(),
                elapsed,
                completeness: Completeness::Partial,
            },
        )
    }

    /// The results of the run, with the warnings that came up at its end.
    pub fn finish(self, sampling: Sampling, late_warnings: Vec<String>) -> Run {
        let Sampling { taken, around } = sampling;
        let host_work = taken.host_work;
        let conduct = Conduct {
            stop: taken.stop,
            clock: Some(around.clock),
            harness_cpu_seconds: Some(around.own_cpu.saturating_sub(host_work).as_secs_f64()),
            host_work_cpu_seconds: (!host_work.is_zero()).then_some(host_work.as_secs_f64()),
            ..self.conduct.clone()
        };
        let mut warnings = self.warnings.clone();
        warnings.extend(around.interference);
        warnings.extend(late_warnings);
        let completeness = if taken.interrupted {
            Completeness::Partial
        } else {
            Completeness::Whole
        };
        self.run(
            conduct,
            warnings,
            Extent {
                samples: taken.samples,
                elapsed: around.elapsed,
                completeness,
            },
        )
    }

    fn run(&self, conduct: Conduct, warnings: Vec<String>, extent: Extent) -> Run {
        Run {
            schema: SCHEMA_VERSION,
            tool: "isobench".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            duration_seconds: extent.elapsed.as_secs_f64(),
            partial: extent.completeness == Completeness::Partial,
            profile: self.profile.name().to_owned(),
            seed: self.seed,
            host: self.host.clone(),
            targets: self.targets.clone(),
            experiments: self.experiments.clone(),
            conduct,
            warnings,
            samples: extent.samples,
        }
    }
}

/// How much of a run's plan there is.
struct Extent {
    samples: Vec<Sample>,
    /// Time since the first sample was begun.
    elapsed: Duration,
    completeness: Completeness,
}

/// Whether every sample of the plan was taken that was to be taken.
#[derive(PartialEq, Eq)]
enum Completeness {
    Whole,
    Partial,
}

/// The samples of a run, with what was read around them.
#[derive(Debug)]
pub struct Sampling {
    taken: Taken,
    around: Around,
}

/// What was read just before the first sample and just after the last.
#[derive(Debug)]
struct Around {
    elapsed: Duration,
    clock: ClockOffset,
    /// Processor time of the harness.
    own_cpu: Duration,
    /// What took processor time away from the run, a sentence each.
    interference: Vec<String>,
}

impl Sampling {
    /// Takes samples by `take`, and reads clocks and counters around it.
    pub fn of(take: impl FnOnce(Instant) -> Taken) -> Self {
        let begun = Instant::now();
        let own_before = cpu_time::of_process();
        let interference = Interference::now();
        let before_ns = wall_clock_offset();
        let taken = take(begun);
        let around = Around {
            clock: ClockOffset {
                before_ns,
                after_ns: wall_clock_offset(),
            },
            elapsed: begun.elapsed(),
            own_cpu: cpu_time::of_process().saturating_sub(own_before),
            interference: Interference::now().warnings_since(interference),
        };
        Self { taken, around }
    }
}

/// A target as results files have it.
fn describe(info: &TargetInfo, availability: &Availability) -> Target {
    Target {
        name: info.name.to_owned(),
        description: info.description.to_owned(),
        kind: info.kind,
        family: info.family,
        version: availability.version.clone(),
        floor: info.floor.map(str::to_owned),
        differences: info.differences.iter().map(|&s| s.to_owned()).collect(),
        unavailable: availability.unavailable.clone(),
    }
}
