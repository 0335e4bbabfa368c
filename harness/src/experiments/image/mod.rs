//! Image: what 1, 10 and 100 instances take on the disk, and what of it is in the page cache once they have read it.
//!
//! What instances hold in common can be there once, or once for each. A container's layer is there once, and so is a
//! virtual machine's disk that may only be read; a disk of its own for each virtual machine is there as often as there
//! are machines, and a layer that is copied for each container is no better. Each way is tried with each target, so
//! that the difference between the ways isn't taken for one between containers and virtual machines.

mod base;
mod series;

use std::time::Duration;

use isobench_reports::model::Part;
use isobench_reports::schema::image::{
    BASE, COPIED, FILES, LAUNCHER, NAME, ONE, PROGRAM, SHARED, Step, WRITTEN,
};
use isobench_reports::schema::{MetricSchema, disk};

use super::{Bench, Experiment, MeasureError, Measured, Reading, Rounds, Subject, part};
use crate::experiments::profile::Profile;
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

/// See the module's documentation.
#[derive(Debug)]
pub struct Image {
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
        Self { steps }
    }

    fn steps(&self) -> impl Iterator<Item = &'static Step> {
        let taken = self.steps;
        WAYS.iter().flat_map(move |way| way.steps[..taken].iter())
    }
}

impl Experiment for Image {
    fn name(&self) -> &'static str {
        NAME
    }

    fn method(&self) -> &'static str {
        "1, 10 and 100 instances, one after the other, each of which reads all of a base of 1 MiB that stands for an image. \
         `shared` is one base for all: the lower layer of an overlay root, a disk that may only be read, the same file. \
         `copies` is one for each, written in full. On disk is what the file system has allocated for the workload, the \
         launcher, a guest's kernel, the bases, and what instances have written while they lived; each file counts once. \
         In the page cache is what mincore finds of these files afterwards: the programs were read into it before, the bases \
         dropped from it. What a guest's own kernel caches is in the guest's memory, and not in these figures. No copies \
         are made that would take over half of the free disk. A target that is slow gets fewer rounds."
    }

    fn metrics(&self) -> Vec<MetricSchema> {
        let disk = self.steps().map(|step| step.disk);
        let cache = self.steps().map(|step| step.cache);
        [ONE].into_iter().chain(disk).chain(cache).collect()
    }

    fn parts(&self, metric: &str, _: &[&TargetInfo]) -> Vec<Part> {
        if metric != ONE.name {
            return Vec::new();
        }
        vec![
            part(PROGRAM, "the program that runs inside"),
            part(LAUNCHER, "what starts an instance: a launcher, a VMM"),
            part(
                FILES,
                "a guest's kernel, and what else was prepared for the target",
            ),
            part(BASE, "the base, which stands for an image or a disk"),
            part(
                WRITTEN,
                "what the instance has written while it lived: its upper layer",
            ),
        ]
    }

    fn at_once(&self, metric: &str) -> Option<u32> {
        let mut steps = self.steps();
        let step = steps.find(|step| [step.disk.name, step.cache.name].contains(&metric))?;
        Some(step.count)
    }

    fn is_default(&self) -> bool {
        false
    }

    fn cases(&self) -> Vec<Vec<&'static str>> {
        let metrics = |way: &Way| {
            let steps = way.steps[..self.steps].iter();
            let taken = steps.flat_map(|step| [step.disk.name, step.cache.name]);
            let one = way.is_shared.then_some(ONE.name);
            one.into_iter().chain(taken).collect()
        };
        WAYS.iter().map(metrics).collect()
    }

    fn applies(&self, _: usize, target: &TargetInfo) -> bool {
        target.can(Capability::ShowFiles) && target.takes_part_in(disk::NAME)
    }

    fn rounds(&self, profile: Profile) -> Rounds {
        let measured = match profile {
            Profile::Quick => 3,
            Profile::Standard => 6,
            Profile::Thorough => 15,
        };
        Rounds {
            warmup: 0,
            measured,
        }
    }

    fn patience(&self, profile: Profile) -> Option<Duration> {
        Some(match profile {
            Profile::Quick => Duration::from_secs(5),
            Profile::Standard => Duration::from_secs(30),
            Profile::Thorough => Duration::from_mins(3),
        })
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
            for metric in experiment.metrics() {
                let count = experiment.at_once(metric.name);
                assert_eq!(count.is_some(), metric != ONE, "{}", metric.name);
                let number = metric.name.rsplit('-').next().unwrap().parse().ok();
                assert_eq!(count, number, "{}", metric.name);
            }
            let cases: Vec<_> = experiment.cases().concat();
            assert_eq!(cases.len(), experiment.metrics().len());
        }
    }
}
