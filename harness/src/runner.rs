//! Takes the samples of a plan, one after the other, and turns each into rows of the results.

use std::time::{Duration, Instant};

use isobench_reports::model::{Sample, Status, TOTAL};

use crate::experiment::{Bench, Experiment, MeasureError, MetricInfo, Reading, Subject};
use crate::plan::{Profile, Step, Workload, plan};
use crate::progress::Progress;

/// Time between two checkpoints; writing one costs some milliseconds between two samples.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);

/// What a run has to do.
#[derive(Debug)]
pub struct Runner<'r> {
    /// The experiments asked for.
    pub experiments: &'r [Box<dyn Experiment>],
    /// The targets that can run here.
    pub subjects: &'r [Subject],
    /// How much of each.
    pub profile: Profile,
    /// Decides the order.
    pub seed: u64,
}

/// What came of a run.
#[derive(Debug)]
pub struct Taken {
    /// Every sample, failed ones included.
    pub samples: Vec<Sample>,
    /// Whether the user stopped it before the end.
    pub interrupted: bool,
}

impl Runner<'_> {
    /// Takes all samples; `checkpoint` gets those so far from time to time, so that a killed run keeps them.
    pub fn run(
        &self,
        bench: &Bench,
        mut progress: Progress,
        checkpoint: &mut dyn FnMut(&[Sample]),
    ) -> Taken {
        let mut samples = Vec::new();
        let mut saved = Instant::now();
        let mut interrupted = false;
        for (sequence, step) in self.steps().iter().enumerate() {
            let experiment = &self.experiments[step.experiment];
            let subject = &self.subjects[step.target];
            progress.step(sequence, experiment.name(), subject.target.name());
            let outcome = experiment.measure(step.case, subject, bench);
            if bench.interrupt.asked() || outcome.as_ref().is_err_and(MeasureError::is_interrupt) {
                interrupted = true;
                break;
            }
            samples.extend(self.rows(step, sequence as u64, outcome));
            if saved.elapsed() >= CHECKPOINT_INTERVAL {
                checkpoint(&samples);
                saved = Instant::now();
            }
        }
        progress.finish();
        Taken {
            samples,
            interrupted,
        }
    }

    /// The plan of this run.
    pub fn steps(&self) -> Vec<Step> {
        let work: Vec<Workload> = self
            .experiments
            .iter()
            .map(|experiment| {
                let rounds = experiment.rounds(self.profile);
                Workload {
                    cases: (0..experiment.cases().len())
                        .map(|case| self.subjects_of(experiment.as_ref(), case))
                        .collect(),
                    warmup: rounds.warmup,
                    measured: rounds.measured,
                }
            })
            .collect();
        plan(&work, self.seed)
    }

    fn subjects_of(&self, experiment: &dyn Experiment, case: usize) -> Vec<usize> {
        (0..self.subjects.len())
            .filter(|&index| {
                let target = self.subjects[index].target.as_ref();
                target.takes_part_in(experiment.name()) && experiment.applies(case, target)
            })
            .collect()
    }

    fn rows(
        &self,
        step: &Step,
        sequence: u64,
        outcome: Result<Vec<Reading>, MeasureError>,
    ) -> Vec<Sample> {
        let experiment = &self.experiments[step.experiment];
        let metrics = experiment.metrics();
        let row = |metric: &MetricInfo| Sample {
            target: self.subjects[step.target].target.name().to_owned(),
            experiment: experiment.name().to_owned(),
            metric: metric.name.to_owned(),
            part: TOTAL.to_owned(),
            unit: metric.unit,
            round: step.round,
            sequence,
            value: None,
            status: Status::Failed,
            reason: None,
        };
        match outcome {
            Ok(readings) => readings
                .into_iter()
                .filter_map(|reading| {
                    let metric = metrics
                        .iter()
                        .find(|metric| metric.name == reading.metric)?;
                    Some(Sample {
                        part: reading.part,
                        value: Some(reading.value),
                        status: if step.warmup {
                            Status::Warmup
                        } else {
                            Status::Ok
                        },
                        reason: step.warmup.then(|| "taken to warm up".to_owned()),
                        ..row(metric)
                    })
                })
                .collect(),
            Err(error) => {
                let reason = format!("{:#}", anyhow::Error::new(error));
                let cases = experiment.cases();
                metrics
                    .iter()
                    .filter(|metric| cases[step.case].contains(&metric.name))
                    .map(|metric| Sample {
                        reason: Some(reason.clone()),
                        ..row(metric)
                    })
                    .collect()
            }
        }
    }
}
