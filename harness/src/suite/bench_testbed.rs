//! What the criterion benches share: the testbed, and one sample of one case as a criterion value.
//!
//! The benches use the same targets, experiments and instances as `isobench run`. Criterion only
//! decides how many samples are taken.

use std::path::Path;

use isobench_reports::model::{TOTAL, Unit};

use crate::experiments::profile::Profile;
use crate::experiments::{self, Applicability, Case, Experiment, ReadyTarget};
use crate::host::facts::HostReport;
use crate::host::interrupt::Interrupt;
use crate::host::programs::Programs;
use crate::streams::tell;
use crate::suite::testbed::{Candidate, Testbed};
use crate::targets::{self, Daemons, Pace};

/// The testbed of one bench.
#[derive(Debug)]
pub struct BenchTestbed {
    /// The prepared targets.
    pub testbed: Testbed,
    interrupt: Interrupt,
    experiment: Box<dyn Experiment>,
}

impl BenchTestbed {
    /// Prepares all quick targets for `experiment`. `isobench` is the path of the program
    /// `isobench`; the launchers lie in the same directory. The targets that can't run on this host
    /// are listed on standard error.
    ///
    /// # Errors
    /// The launchers are missing, or there is no directory for files.
    pub fn assemble(experiment: &str, isobench: &str) -> anyhow::Result<Self> {
        let programs =
            Programs::in_directory(Path::new(isobench).parent().unwrap_or(Path::new(".")))?;
        let host = HostReport::inspect(&programs);
        let experiment = experiments::all(Profile::Quick)
            .into_iter()
            .find(|known| known.info().name == experiment)
            .ok_or_else(|| anyhow::anyhow!("no experiment `{experiment}`"))?;
        let targets = targets::all(&programs, Daemons::UseRunning)
            .into_iter()
            .filter(|target| {
                let info = target.info();
                info.pace == Pace::Quick && info.takes_part_in(&experiment.info().name)
            })
            .collect();
        let testbed = Testbed::assemble(
            &Candidate::inspect(targets, &host),
            &programs,
            experiments::disk_size(Profile::Quick),
        )?;
        for target in &testbed.unavailable {
            let (name, reason) = (target.info.name, &target.reason.reason);
            tell(format_args!("{name} can't run here: {reason}"));
        }
        Ok(Self {
            testbed,
            interrupt: Interrupt::never()?,
            experiment,
        })
    }

    /// The experiment's cases.
    pub fn cases(&self) -> &[Case] {
        &self.experiment.info().cases
    }

    /// The unit of `metric`.
    ///
    /// # Panics
    /// The experiment has no such metric.
    pub fn unit(&self, metric: &str) -> Unit {
        let known = self.experiment.info().metric(metric);
        known
            .unwrap_or_else(|| panic!("no metric {metric}"))
            .schema
            .unit
    }

    /// The targets on which `case` is measured. The targets for which the case is impossible are
    /// listed on standard error.
    pub fn targets(&self, case: usize) -> Vec<&ReadyTarget> {
        let is_measured = |target: &&ReadyTarget| {
            let info = &target.info;
            match self.experiment.applicability(case, info) {
                Applicability::Measured => true,
                Applicability::NotApplicable => false,
                Applicability::Impossible(reason) => {
                    tell(format_args!("{} is left out: {reason}", info.name));
                    false
                }
            }
        };
        self.testbed.targets.iter().filter(is_measured).collect()
    }

    /// Takes one sample from a fresh instance of `target`, and returns the value of `metric` as a
    /// whole.
    ///
    /// # Panics
    /// The sample failed: criterion can't leave a sample out.
    pub fn sample(&self, case: usize, metric: &str, target: &ReadyTarget) -> f64 {
        let context = self.testbed.context(&self.interrupt);
        let readings = match self.experiment.measure(case, target, &context) {
            Ok(measurement) => measurement.readings,
            Err(error) => panic!("{}: {:#}", target.info.name, anyhow::Error::new(error)),
        };
        let whole = readings
            .iter()
            .find(|r| r.metric == metric && r.part == TOTAL);
        whole.map_or_else(
            || panic!("{} gave no {metric}", target.info.name),
            |reading| reading.value,
        )
    }
}
