//! Density: how much memory one more idle instance costs on a host that already runs some.
//!
//! A sample starts 1, 2, 4, ... instances, which stay, and reads the memory that is charged to all
//! of them after each step. The slope of the line through these points is the price of one more
//! instance. That price differs from the memory of a single instance, because instances share some
//! memory. The shared memory is the line's value at zero.
//!
//! A sample stops before it can harm the host ([`reserve`]). The results then hold the steps that
//! were left out, with the reason.

mod reserve;

use std::time::Instant;

use isobench_reports::schema::density::{CROWDS, Crowd, NAME, PER_INSTANCE, SHARED};
use isobench_reports::schema::memory;
use isobench_reports::statistics::Line;

use super::{
    Applicability, Case, Experiment, ExperimentInfo, MeasureContext, MeasureError, Measurement,
    MetricInfo, Reading, ReadyTarget, Rounds,
};
use crate::experiments::profile::{ByProfile, Profile};
use crate::host::accounting::{Accounting, InstanceGroup};
use crate::instance::{Instance, Stdin};
use crate::targets::{Marks, TargetInfo};
use reserve::{Growth, Reserve};

/// How the metrics are measured, for a report's reader.
const METHOD: &str = "The harness starts 1, 2, 4, ... instances of an idle program, which stay. \
    After \
    each step, it reads the kernel's account of the cgroup that holds all of them: anonymous \
    pages, \
    file pages and kernel memory, launchers included. `per-instance` is the slope of the line of \
    least squares through the points of one such series; `shared` is the line's value at zero. A \
    step is left out if it would leave the host too little memory, too few processes or too few \
    descriptors, or if the series has used up its time. The figure of that step is then missing, \
    with the reason. The programs' own files are in the page cache beforehand.";

/// The experiment `density`.
#[derive(Debug)]
pub struct Density {
    info: ExperimentInfo,
    crowds: &'static [Crowd],
    reserve: Reserve,
}

impl Density {
    /// The experiment with as many instances as `profile` has time for.
    pub fn new(profile: Profile) -> Self {
        let steps = match profile {
            Profile::Quick => 4,
            Profile::Standard => 6,
            Profile::Thorough => 7,
        };
        let crowds = &CROWDS[..steps];
        let charges = crowds
            .iter()
            .map(|crowd| MetricInfo::from(crowd.charge).at_once(crowd.count));
        let all = [PER_INSTANCE, SHARED]
            .into_iter()
            .chain(crowds.iter().map(|crowd| crowd.charge));
        Self {
            info: ExperimentInfo::new(
                NAME,
                METHOD,
                [PER_INSTANCE, SHARED]
                    .map(MetricInfo::from)
                    .into_iter()
                    .chain(charges),
                [Case::of(all)],
                ByProfile {
                    quick: Rounds::new(0, 3),
                    standard: Rounds::new(1, 4),
                    thorough: Rounds::new(1, 30),
                },
            ),
            crowds,
            reserve: Reserve::new(profile),
        }
    }
}

impl Experiment for Density {
    fn info(&self) -> &ExperimentInfo {
        &self.info
    }

    fn applicability(&self, _: usize, target: &TargetInfo) -> Applicability {
        Applicability::measured_if(target.takes_part_in(memory::NAME))
    }

    fn measure(
        &self,
        _: usize,
        target: &ReadyTarget,
        context: &MeasureContext,
    ) -> Result<Measurement, MeasureError> {
        let accounting = context.accounting.ok_or(MeasureError::NoAccounting)?;
        let mut series = Series::begin(accounting, self.crowds)?;
        let mut points = Vec::new();
        let mut measured = Measurement::default();
        for crowd in self.crowds {
            let growth = series.growth_to(crowd, &points);
            if let Err(refusal) = self.reserve.check(&growth) {
                measured
                    .missing
                    .push((crowd.charge.name, refusal.to_string()));
                continue;
            }
            let charge = series.grow(crowd, target, context)?;
            points.push((f64::from(crowd.count), charge));
            measured
                .readings
                .push(Reading::total(crowd.charge.name, charge));
        }
        series.end(target)?;
        if let Some(line) = Line::through(&points) {
            measured.readings.extend([
                Reading::total(PER_INSTANCE.name, line.slope),
                Reading::total(SHARED.name, line.intercept),
            ]);
        } else {
            let reason = "fewer than two steps were taken".to_owned();
            let metrics = [PER_INSTANCE, SHARED];
            measured
                .missing
                .extend(metrics.map(|metric| (metric.name, reason.clone())));
        }
        Ok(measured)
    }
}

/// The running instances of one sample.
struct Series<'b> {
    // Dropped before the group: the instances reap their processes.
    instances: Vec<Instance<'b>>,
    /// The cgroup directories of each instance, also of those that are not started yet.
    cgroups: Vec<Vec<std::path::PathBuf>>,
    group: InstanceGroup,
    begun: Instant,
}

impl<'b> Series<'b> {
    fn begin(accounting: &Accounting, crowds: &[Crowd]) -> Result<Self, MeasureError> {
        let mut group = accounting.new_group()?;
        let most = crowds.last().map_or(0, |crowd| crowd.count);
        Ok(Self {
            instances: Vec::new(),
            cgroups: group.member_limit_directories(most)?,
            group,
            begun: Instant::now(),
        })
    }

    /// The growth to `crowd`. `points` are the numbers of instances so far, each with its charge.
    fn growth_to(&self, crowd: &Crowd, points: &[(f64, f64)]) -> Growth {
        let each = points.last().map_or(0.0, |(count, charge)| charge / count);
        let more = crowd.count - u32::try_from(self.instances.len()).unwrap_or(crowd.count);
        Growth {
            more,
            memory: each * f64::from(more),
            elapsed: self.begun.elapsed(),
        }
    }

    /// Starts the instances that are missing, and returns the memory that is charged to all.
    fn grow(
        &mut self,
        crowd: &Crowd,
        target: &ReadyTarget,
        context: &'b MeasureContext,
    ) -> Result<f64, MeasureError> {
        let wanted = crowd.count as usize;
        let missing = self.instances.len()..wanted;
        let command = |number: usize| {
            let mut launch = context.launch(&["idle", "--touch", "4KiB"]);
            launch.marks = Marks::None;
            launch.cgroups.clone_from(&self.cgroups[number]);
            target.command(launch, Stdin::HeldOpen)
        };
        let commands = missing.map(command).collect::<Result<Vec<_>, _>>()?;
        self.group.enter()?;
        for command in &commands {
            let limit = context.limit;
            let instance = Instance::start(command, Stdin::HeldOpen, limit, context.interrupt)?;
            self.instances.push(instance);
        }
        // The harness's own memory must not be charged to the group. Nothing is timed here, so the
        // harness can leave at once.
        self.group.leave()?;
        for instance in self.instances.iter_mut().skip(wanted - commands.len()) {
            instance.wait_until_ready()?;
        }
        Ok(self.group.memory()?.sum().as_u64() as f64)
    }

    fn end(self, target: &ReadyTarget) -> Result<(), MeasureError> {
        let ended = target.end_idle_instances(self.instances)?;
        self.group.remove(ended)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_s_name_has_the_number_of_instances() {
        for profile in [Profile::Quick, Profile::Standard, Profile::Thorough] {
            let density = Density::new(profile);
            for metric in &density.info.metrics {
                let number = metric.schema.name.strip_prefix("charge-");
                let number = number.map(|number| number.parse().unwrap());
                assert_eq!(metric.at_once, number, "{}", metric.schema.name);
            }
            assert!(density.crowds.is_sorted_by_key(|crowd| crowd.count));
        }
    }
}
