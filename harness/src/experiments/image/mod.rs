//! Image: what 1, 10 and 100 instances take on the disk, and what of it is in the page cache once they have read it.
//!
//! What instances hold in common can be there once, or once for each. A container's layer is there once, and so is a
//! virtual machine's disk that may only be read; a disk of its own for each virtual machine is there as often as there
//! are machines, and a layer that is copied for each container is no better. Each way is tried with each target, so
//! that the difference between the ways isn't taken for one between containers and virtual machines.

mod base;
mod series;

use std::time::Duration;

use isobench_reports::schema::image::{
    BASE, COPIED, FILES, LAUNCHER, NAME, ONE, PROGRAM, SHARED, Step, WRITTEN,
};
use isobench_reports::schema::{MetricSchema, disk};

use super::{
    Applicability, Bench, Case, Experiment, ExperimentInfo, Inclusion, MeasureError, Measured,
    MetricInfo, Parts, Reading, Rounds, Subject,
};
use crate::experiments::profile::{ByProfile, Profile};
use crate::targets::{Capability, TargetInfo};
use series::Series;

/// How instances have what they hold in common, and the metrics of that.
#[derive(Debug)]
struct Way {
    is_shared: bool,
    steps: [Step; 3],
}

const WAYS: [Way; 2] = [
    Way {
        is_shared: true,
        steps: SHARED,
    },
    Way {
        is_shared: false,
        steps: COPIED,
    },
];

/// How the figures are measured, for a report's reader.
const METHOD: &str = "1, 10 and, except in a quick run, 100 instances, one after the other, each of which reads all of a base of 1 MiB that stands for an image. \
    `shared` is one base for all: the lower layer of an overlay root, a disk that may only be read, the same file. \
    `copies` is one for each, written in full. On disk is what the file system has allocated for the workload, the \
    launcher, a guest's kernel, the bases, and what instances have written while they lived; each file counts once. \
    In the page cache is what mincore finds of these files afterwards: the programs were read into it before, the bases \
    dropped from it. What a guest's own kernel caches is in the guest's memory, and not in these figures. No copies \
    are made that would take over half of the free disk. A target that is slow gets fewer rounds.";

/// See the module's documentation.
#[derive(Debug)]
pub struct Image {
    info: ExperimentInfo,
    /// How many of the numbers of instances are reached.
    steps: usize,
}

impl Image {
    /// With as many instances as `profile` has time for.
    pub fn new(profile: Profile) -> Self {
        let steps = match profile {
            Profile::Quick => 2,
            Profile::Standard | Profile::Thorough => 3,
        };
        Self {
            info: ExperimentInfo {
                patience: Some(ByProfile {
                    quick: Duration::from_secs(5),
                    standard: Duration::from_secs(30),
                    thorough: Duration::from_mins(3),
                }),
                inclusion: Inclusion::IfNamed,
                ..ExperimentInfo::new(
                    NAME,
                    METHOD,
                    metrics(steps),
                    WAYS.iter().map(|way| case(way, steps)),
                    ByProfile {
                        quick: Rounds::new(0, 3),
                        standard: Rounds::new(0, 6),
                        thorough: Rounds::new(0, 15),
                    },
                )
            },
            steps,
        }
    }
}

/// The figures of `steps` numbers of instances.
fn metrics(steps: usize) -> impl Iterator<Item = MetricInfo> {
    let taken = move || WAYS.iter().flat_map(move |way| &way.steps[..steps]);
    let one = MetricInfo::from(ONE).in_parts(Parts::named([
        (PROGRAM, "the program that runs inside"),
        (LAUNCHER, "what starts an instance: a launcher, a VMM"),
        (
            FILES,
            "a guest's kernel, and what else was prepared for the target",
        ),
        (BASE, "the base, which stands for an image or a disk"),
        (
            WRITTEN,
            "what the instance has written while it lived: its upper layer",
        ),
    ]));
    let disk = taken().map(|step| MetricInfo::from(step.disk).at_once(step.count));
    let cache = taken().map(|step| MetricInfo::from(step.cache).at_once(step.count));
    [one].into_iter().chain(disk).chain(cache)
}

/// The case of one way to hold things in common, with `steps` numbers of instances.
fn case(way: &Way, steps: usize) -> Case {
    let taken = way.steps[..steps].iter();
    let one = way.is_shared.then_some(ONE);
    Case::of(
        one.into_iter()
            .chain(taken.flat_map(|step| [step.disk, step.cache])),
    )
}

impl Experiment for Image {
    fn info(&self) -> &ExperimentInfo {
        &self.info
    }

    fn applicability(&self, _: usize, target: &TargetInfo) -> Applicability {
        let shows = target.can(Capability::ExposeFiles) && target.takes_part_in(disk::NAME);
        Applicability::measured_if(shows)
    }

    fn measure(
        &self,
        case: usize,
        subject: &Subject,
        bench: &Bench,
    ) -> Result<Measured, MeasureError> {
        let way = &WAYS[case];
        let mut series = Series::begin(way.is_shared, subject, bench)?;
        let mut measured = Measured::default();
        for step in &way.steps[..self.steps] {
            if let Err(refusal) = series.allows(step.count) {
                let of = |metric: MetricSchema| (metric.name, refusal.clone());
                measured.missing.extend([of(step.disk), of(step.cache)]);
                continue;
            }
            series.grow(step.count)?;
            let taken = series.taken()?;
            if way.is_shared && step.count == 1 {
                measured.readings.extend(taken.readings());
            }
            measured.readings.extend([
                Reading::total(step.disk.name, taken.disk() as f64),
                Reading::total(step.cache.name, taken.cache as f64),
            ]);
        }
        Ok(measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_instances_is_in_its_metrics_names() {
        for profile in [Profile::Quick, Profile::Standard, Profile::Thorough] {
            let experiment = Image::new(profile);
            for metric in &experiment.info.metrics {
                let (schema, count) = (metric.schema, metric.at_once);
                assert_eq!(count.is_some(), schema != ONE, "{}", schema.name);
                let number = schema.name.rsplit('-').next().unwrap().parse().ok();
                assert_eq!(count, number, "{}", schema.name);
            }
            let cases = experiment.info.cases.iter();
            let named: usize = cases.map(|case| case.metrics.len()).sum();
            assert_eq!(named, experiment.info.metrics.len());
        }
    }
}
