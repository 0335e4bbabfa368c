//! What the criterion benches share: the testbed, and one sample of one case as a criterion value.
//!
//! The benches go through the same targets, experiments and instances as `isobench run`; criterion only decides how
//! often.

use std::path::Path;

use isobench_reports::model::{TOTAL, Unit};

use crate::experiments::profile::Profile;
use crate::experiments::{self, Applicability, Case, Experiment, ReadyTarget};
use crate::host::facts::HostReport;
use crate::host::interrupt::Interrupt;
use crate::host::programs::Programs;
use crate::suite::testbed::{Candidate, Testbed};
use crate::targets::{self, Daemons, Pace};

/// Everything that a bench measures with.
#[derive(Debug)]
pub struct BenchTestbed {
    /// The prepared targets.
    pub testbed: Testbed,
    interrupt: Interrupt,
    experiment: Box<dyn Experiment>,
}

impl BenchTestbed {
    /// Prepares the targets that start quickly for `experiment`; `isobench` is the path of that program, whose neighbours the
    /// launchers are. The targets that can't run here are named on standard error, once.
    ///
    /// # Errors
    /// The launchers are missing, or there is no place for files.
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
                info.pace == Pace::Quick && info.takes_part_in(experiment.info().name)
            })
            .collect();
        let testbed = Testbed::assemble(
            Candidate::inspect(targets, &host),
            &programs,
            experiments::disk_size(Profile::Quick),
        )?;
        for absent in &testbed.absent {
            eprintln!("{} can't run here: {}", absent.info.name, absent.why.reason);
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

    /// What the values of `metric` are in.
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

    /// The targets that can do `case`. The others are named on standard error.
    pub fn targets(&self, case: usize) -> Vec<&ReadyTarget> {
        let can = |target: &&ReadyTarget| {
            let target = &target.info;
            match self.experiment.applicability(case, target) {
                Applicability::Measured => true,
                Applicability::NotApplicable => false,
                Applicability::Impossible(reason) => {
                    eprintln!("{} is left out: {reason}", target.name);
                    false
                }
            }
        };
        self.testbed.targets.iter().filter(can).collect()
    }

    /// One sample: the value of `metric` as a whole, from one fresh instance of `target`.
    ///
    /// # Panics
    /// The sample failed: criterion has no way to leave one out.
    pub fn sample(&self, case: usize, metric: &str, target: &ReadyTarget) -> f64 {
        let context = self.testbed.context(&self.interrupt);
        let readings = match self.experiment.measure(case, target, &context) {
            Ok(measured) => measured.readings,
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
