//! The results of a run, gathered while the run goes on. Each stage of a run adds its findings, and
//! [`RunRecord::finish`] returns the value that is written.

use std::time::{Duration, Instant};

use isobench_reports::model::{ClockOffset, Conduct, Host, Run, SCHEMA_VERSION, Sample, Target};
use jiff::Timestamp;

use super::instrument::InstrumentError;
use super::runner::{Completeness, FailedTarget, TakenSamples};
use super::testbed::{Candidate, Testbed};
use crate::experiments::{ContentsId, Experiment, ReadyTarget};
use crate::host::clock::wall_clock_offset;
use crate::host::cpu_time;
use crate::host::facts::{HostReport, Interference, Severity};
use crate::host::tune::TunedHost;
use crate::targets::{Availability, Contents, TargetInfo};

/// What is known about a run before its samples are taken.
#[derive(Debug)]
pub struct RunRecord {
    started: Timestamp,
    profile: &'static str,
    seed: u64,
    host: Host,
    targets: Vec<Target>,
    experiments: Vec<isobench_reports::model::Experiment>,
    conduct: Conduct,
    warnings: Vec<String>,
}

impl RunRecord {
    /// The record of a run that begins, with the name of its profile. `contents` are those of the
    /// targets' roots.
    pub fn begin(
        started: Timestamp,
        profile: &'static str,
        seed: u64,
        host: &HostReport,
        candidates: &[Candidate],
        contents: &[(ContentsId, Contents<'_>)],
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
                .map(|candidate| {
                    describe(candidate.target.info(), &candidate.availability, contents)
                })
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

    /// Adds the targets that could not be prepared, a warning if memory is not accounted, and the
    /// delays that the run adds on purpose.
    #[must_use]
    pub fn with_testbed(mut self, testbed: &Testbed) -> Self {
        if let Err(error) = &testbed.accounting {
            self.warnings
                .push(format!("memory is not accounted by cgroup: {error}"));
        }
        for target in &mut self.targets {
            let mut unavailable = testbed.unavailable.iter();
            let unavailable = unavailable.find(|known| known.info.name == target.name);
            let is_ready = |ready: &ReadyTarget| ready.info.name == target.name;
            if let Some(unavailable) = unavailable
                && !testbed.targets.iter().any(is_ready)
            {
                target.unavailable = Some(unavailable.reason.clone());
            }
        }
        self.conduct.injections.clone_from(&testbed.injections);
        self
    }

    /// Adds the host's settings that were changed, and warnings about those that could not be
    /// changed.
    #[must_use]
    pub fn with_tuning(mut self, tuned: &TunedHost) -> Self {
        self.conduct.tuned.clone_from(&tuned.changed);
        let refused = tuned.refused.iter();
        self.warnings
            .extend(refused.map(|reason| format!("not tuned: {reason}")));
        self
    }

    /// Adds the measurement of the instrument itself. If the instrument can't be measured, a
    /// warning is added instead.
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

    /// The results while samples are still taken, for a checkpoint.
    pub fn so_far(&self, samples: &[Sample], elapsed: Duration) -> Run {
        self.run(
            self.conduct.clone(),
            self.warnings.clone(),
            SamplesSoFar {
                samples: samples.to_vec(),
                elapsed,
                completeness: Completeness::Partial,
            },
        )
    }

    /// The results of the finished run. `late_warnings` came up at its end.
    pub fn finish(self, sampling: Sampling, late_warnings: Vec<String>) -> Run {
        let Sampling { taken, conditions } = sampling;
        let host_work = taken.host_work;
        let conduct = Conduct {
            stop: taken.stop,
            clock: Some(conditions.clock),
            harness_cpu_seconds: Some(conditions.own_cpu.saturating_sub(host_work).as_secs_f64()),
            host_work_cpu_seconds: (!host_work.is_zero()).then_some(host_work.as_secs_f64()),
            ..self.conduct.clone()
        };
        let mut warnings = self.warnings.clone();
        warnings.extend(conditions.interference);
        warnings.extend(late_warnings);
        self.run(
            conduct,
            warnings,
            SamplesSoFar {
                samples: taken.samples,
                elapsed: conditions.elapsed,
                completeness: taken.completeness,
            },
        )
    }

    fn run(&self, conduct: Conduct, warnings: Vec<String>, so_far: SamplesSoFar) -> Run {
        Run {
            schema: SCHEMA_VERSION,
            tool: "isobench".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            duration_seconds: so_far.elapsed.as_secs_f64(),
            partial: so_far.completeness == Completeness::Partial,
            profile: self.profile.to_owned(),
            seed: self.seed,
            host: self.host.clone(),
            targets: self.targets.clone(),
            experiments: self.experiments.clone(),
            conduct,
            warnings,
            samples: so_far.samples,
        }
    }
}

/// The samples that have been taken so far.
struct SamplesSoFar {
    samples: Vec<Sample>,
    /// The time since the first sample was begun.
    elapsed: Duration,
    completeness: Completeness,
}

/// The samples of a run, and the conditions in which they were taken.
#[derive(Debug)]
pub struct Sampling {
    taken: TakenSamples,
    conditions: SamplingConditions,
}

/// What the harness read just before the first sample and just after the last.
#[derive(Debug)]
struct SamplingConditions {
    elapsed: Duration,
    clock: ClockOffset,
    /// The harness's processor time during the samples.
    own_cpu: Duration,
    /// The warnings about processor time that was taken away from the run.
    interference: Vec<String>,
}

impl Sampling {
    /// Calls `take`, which takes the samples, and reads clocks and counters before and after.
    pub fn of(take: impl FnOnce(Instant) -> TakenSamples) -> Self {
        let begun = Instant::now();
        let own_before = cpu_time::of_process();
        let interference = Interference::now();
        let before_ns = wall_clock_offset();
        let taken = take(begun);
        let conditions = SamplingConditions {
            clock: ClockOffset {
                before_ns,
                after_ns: wall_clock_offset(),
            },
            elapsed: begun.elapsed(),
            own_cpu: cpu_time::of_process().saturating_sub(own_before),
            interference: Interference::now().warnings_since(interference),
        };
        Self { taken, conditions }
    }

    /// The targets that have failed every sample of an experiment.
    pub fn failed_targets(&self) -> &[FailedTarget] {
        &self.taken.failed_targets
    }
}

/// A target, whose roots have `contents`, in the form that results files hold.
fn describe(
    info: &TargetInfo,
    availability: &Availability,
    contents: &[(ContentsId, Contents<'_>)],
) -> Target {
    Target {
        name: info.name.to_owned(),
        description: info.description.to_owned(),
        kind: info.kind,
        family: info.family,
        version: availability.version.clone(),
        floor: info.floor.map(str::to_owned),
        differences: differences(info, contents),
        emulated: info.emulated,
        unavailable: availability.unavailable.clone(),
    }
}

/// What a target does otherwise than the container with any of `contents`, each sentence once.
fn differences(info: &TargetInfo, contents: &[(ContentsId, Contents<'_>)]) -> Vec<String> {
    let of_contents = contents.iter().flat_map(|(_, contents)| match contents {
        Contents::Program(_) => info.differences,
        Contents::Image(_) => info.image_differences,
    });
    let mut told: Vec<String> = Vec::new();
    for &difference in of_contents {
        if !told.iter().any(|known| known == difference) {
            told.push(difference.to_owned());
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use isobench_container::User;
    use isobench_reports::model::TargetFamily;

    use super::*;
    use crate::targets::Image;

    #[test]
    fn the_differences_told_are_those_of_the_run_s_contents_each_once() {
        let info = TargetInfo {
            differences: &["one user", "no cgroup"],
            image_differences: &["an overlay", "no cgroup"],
            ..TargetInfo::peer(TargetFamily::Container, "fake", "A fake.")
        };
        let user = User {
            uid: 0,
            gid: 0,
            groups: Vec::new(),
        };
        let image = Contents::Image(Image {
            layers: &[],
            working_directory: Path::new("/"),
            user: &user,
        });
        let image = (ContentsId(1), image);
        let program = (
            ContentsId::WORKLOAD,
            Contents::Program(Path::new("/bin/true")),
        );
        let of_program = ["one user", "no cgroup"];
        assert_eq!(differences(&info, &[program]), of_program);
        let of_image = ["an overlay", "no cgroup"];
        assert_eq!(differences(&info, &[image]), of_image);
        let of_both = ["an overlay", "no cgroup", "one user"];
        assert_eq!(differences(&info, &[image, program]), of_both);
    }
}
