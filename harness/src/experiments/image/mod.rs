//! Image: the space that 1, 10 and 100 instances take on the disk, and in the page cache after they
//! have read their files.
//!
//! What instances have in common can exist once, or once for each instance. The layer of containers
//! exists once, and so does a read-only disk of virtual machines. If each virtual machine has a
//! disk of its own, or each container a copied layer, there are as many copies as instances. Both
//! ways are tried with each target. So nobody mistakes a difference between the ways for a
//! difference between containers and virtual machines.

mod base;
mod series;

use std::time::Duration;

use isobench_reports::schema::image::{
    BASE, COPIED, CountMetrics, FILES, LAUNCHER, NAME, ONE, PROGRAM, SHARED, WRITTEN,
};
use isobench_reports::schema::{MetricSchema, disk};

use super::{
    Applicability, Case, Experiment, ExperimentInfo, MeasureContext, MeasureError, Measurement,
    MetricInfo, Parts, Reading, ReadyTarget, Rounds,
};
use crate::experiments::profile::{ByProfile, Profile};
use crate::host::session::Medium;
use crate::targets::{Capability, TargetInfo};
use series::Series;

/// Whether all instances use one base, or each instance a base of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BaseUse {
    Shared,
    Copied,
}

impl BaseUse {
    /// The use of bases in each case.
    const ALL: [Self; 2] = [Self::Shared, Self::Copied];

    /// The metrics for each number of instances.
    fn metrics(self) -> &'static [CountMetrics; 3] {
        match self {
            Self::Shared => &SHARED,
            Self::Copied => &COPIED,
        }
    }
}

/// How the metrics are measured, for a report's reader.
const METHOD: &str = "1, 10 and, except in a quick run, 100 instances run one after the other. \
    Each \
    reads all of a base of 1 MiB, which stands for an image. `shared` is one base for all \
    instances: the lower layer of an overlay root, a read-only disk, or the same file. `copies` is \
    one base for each instance, written in full. The space on disk is what the file system has \
    allocated for the workload, the launcher, a guest's kernel, the bases, and what the instances \
    wrote while they lived; each file counts once. The space in the page cache is what mincore \
    finds of these files afterwards; before, the programs were read into the page cache and the \
    bases were dropped from it. What a guest's own kernel caches is in the guest's memory, and not \
    in these figures. Copies that would take over half of the free disk are not made. A slow \
    target gets fewer rounds.";

/// The experiment `image`.
#[derive(Debug)]
pub struct Image {
    info: ExperimentInfo,
    /// How many of the three numbers of instances a sample reaches.
    counts: usize,
}

impl Image {
    /// The experiment with as many instances as `profile` has time for.
    pub fn new(profile: Profile) -> Self {
        let counts = match profile {
            Profile::Quick => 2,
            Profile::Standard | Profile::Thorough => 3,
        };
        Self {
            info: ExperimentInfo {
                medium: Medium::Disk,
                time_per_target: Some(ByProfile {
                    quick: Duration::from_secs(5),
                    standard: Duration::from_secs(30),
                    thorough: Duration::from_mins(3),
                }),
                ..ExperimentInfo::new(
                    NAME,
                    METHOD,
                    metrics(counts),
                    BaseUse::ALL.map(|base_use| case(base_use, counts)),
                    ByProfile {
                        quick: Rounds::new(0, 1),
                        standard: Rounds::new(0, 2),
                        thorough: Rounds::new(0, 15),
                    },
                )
            },
            counts,
        }
    }
}

/// The metrics for the first `counts` numbers of instances.
fn metrics(counts: usize) -> impl Iterator<Item = MetricInfo> {
    let all = move || {
        BaseUse::ALL
            .into_iter()
            .flat_map(move |base_use| &base_use.metrics()[..counts])
    };
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
    let disk = all().map(|metrics| MetricInfo::from(metrics.disk).at_once(metrics.count));
    let cache = all().map(|metrics| MetricInfo::from(metrics.cache).at_once(metrics.count));
    [one].into_iter().chain(disk).chain(cache)
}

/// The case of one use of bases, with the first `counts` numbers of instances.
fn case(base_use: BaseUse, counts: usize) -> Case {
    let all = base_use.metrics()[..counts].iter();
    let one = (base_use == BaseUse::Shared).then_some(ONE);
    Case::of(
        one.into_iter()
            .chain(all.flat_map(|metrics| [metrics.disk, metrics.cache])),
    )
}

impl Experiment for Image {
    fn info(&self) -> &ExperimentInfo {
        &self.info
    }

    fn applicability(&self, _: usize, target: &TargetInfo) -> Applicability {
        let has_files = target.can(Capability::ExposeFiles) && target.takes_part_in(disk::NAME);
        Applicability::measured_if(has_files)
    }

    fn measure(
        &self,
        case: usize,
        target: &ReadyTarget,
        context: &MeasureContext,
    ) -> Result<Measurement, MeasureError> {
        let base_use = BaseUse::ALL[case];
        let mut series = Series::begin(base_use, target, context)?;
        let mut measurement = Measurement::default();
        for metrics in &base_use.metrics()[..self.counts] {
            if let Err(refusal) = series.check_growth(metrics.count) {
                let missing = |metric: MetricSchema| (metric.name, refusal.clone());
                let metrics = [metrics.disk, metrics.cache].map(missing);
                measurement.missing.extend(metrics);
                continue;
            }
            series.grow(metrics.count)?;
            let space = series.space_used()?;
            if base_use == BaseUse::Shared && metrics.count == 1 {
                measurement.readings.extend(space.readings());
            }
            measurement.readings.extend([
                Reading::total(metrics.disk.name, space.on_disk() as f64),
                Reading::total(metrics.cache.name, space.in_cache as f64),
            ]);
        }
        Ok(measurement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_s_name_has_the_number_of_instances() {
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
