//! Density: what one more idle instance costs a host that already runs some.
//!
//! A sample starts 1, 2, 4, ... instances that stay, and looks at the memory charged to all of them each time. The line
//! through these points has the price of one more as its slope. That differs from the memory of a single instance: what
//! instances share is paid once, and is the line's value at zero.
//!
//! It stops before it can harm the host ([`reserve`]), and says which step it left out, and why.

mod reserve;

use std::time::Instant;

use isobench_reports::schema::density::{CROWDS, Crowd, NAME, PER_INSTANCE, SHARED};
use isobench_reports::schema::memory;
use isobench_reports::statistics::Line;

use super::{
    Applicability, Bench, Case, Experiment, ExperimentInfo, Inclusion, MeasureError, Measured,
    MetricInfo, Reading, Rounds, Subject,
};
use crate::experiments::profile::{ByProfile, Profile};
use crate::host::accounting::{Accounting, InstanceGroup};
use crate::instance::{Instance, Stdin};
use crate::targets::{Marks, TargetInfo};
use reserve::{Reserve, Step};

/// How the figures are measured, for a report's reader.
const METHOD: &str = "1, 2, 4, ... instances of an idle program are started and stay; each time the kernel's account of the cgroup that \
    holds all of them is read: anonymous pages, file pages and kernel memory, launchers included. `per-instance` is \
    the slope of the line of least squares through the points of one such series, `shared` its value at zero. No \
    step is taken that would leave the host too little memory, too few processes or too few descriptors, or once a \
    series has taken its time: it is then missing, with the reason. The programs' own files are in the page cache \
    beforehand.";

/// See the module's documentation.
#[derive(Debug)]
pub struct Density {
    info: ExperimentInfo,
    crowds: &'static [Crowd],
    reserve: Reserve,
}

impl Density {
    /// With as many instances as `profile` has time for.
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
            info: ExperimentInfo {
                inclusion: Inclusion::IfNamed,
                ..ExperimentInfo::new(
                    NAME,
                    METHOD,
                    [PER_INSTANCE, SHARED]
                        .map(MetricInfo::from)
                        .into_iter()
                        .chain(charges),
                    [Case::of(all)],
                    ByProfile {
                        quick: Rounds::new(1, 3),
                        standard: Rounds::new(1, 10),
                        thorough: Rounds::new(1, 30),
                    },
                )
            },
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
        subject: &Subject,
        bench: &Bench,
    ) -> Result<Measured, MeasureError> {
        let accounting = bench.accounting.ok_or(MeasureError::NoAccounting)?;
        let mut series = Series::begin(accounting, self.crowds)?;
        let mut points = Vec::new();
        let mut measured = Measured::default();
        for crowd in self.crowds {
            let step = series.next(crowd, &points);
            if let Err(refusal) = self.reserve.allows(&step) {
                measured
                    .missing
                    .push((crowd.charge.name, refusal.to_string()));
                continue;
            }
            let charge = series.grow(crowd, subject, bench)?;
            points.push((f64::from(crowd.count), charge));
            measured
                .readings
                .push(Reading::total(crowd.charge.name, charge));
        }
        series.end(subject)?;
        if let Some(line) = Line::through(&points) {
            measured.readings.extend([
                Reading::total(PER_INSTANCE.name, line.slope),
                Reading::total(SHARED.name, line.intercept),
            ]);
        } else {
            let why = || "fewer than two numbers of instances were reached".to_owned();
            let lines = [PER_INSTANCE, SHARED];
            measured
                .missing
                .extend(lines.map(|metric| (metric.name, why())));
        }
        Ok(measured)
    }
}

/// The instances of one sample. They are reaped before their group is removed.
struct Series<'b> {
    instances: Vec<Instance<'b>>,
    limits: Vec<Vec<std::path::PathBuf>>,
    group: InstanceGroup,
    begun: Instant,
}

impl<'b> Series<'b> {
    fn begin(accounting: &Accounting, crowds: &[Crowd]) -> Result<Self, MeasureError> {
        let mut group = accounting.new_group()?;
        let most = crowds.last().map_or(0, |crowd| crowd.count);
        Ok(Self {
            instances: Vec::new(),
            limits: group.member_limit_directories(most)?,
            group,
            begun: Instant::now(),
        })
    }

    /// What it would take to reach `crowd`, judged by the `points` so far.
    fn next(&self, crowd: &Crowd, points: &[(f64, f64)]) -> Step {
        let each = points.last().map_or(0.0, |(count, charge)| charge / count);
        let more = crowd.count - u32::try_from(self.instances.len()).unwrap_or(crowd.count);
        Step {
            more,
            memory: each * f64::from(more),
            elapsed: self.begun.elapsed(),
        }
    }

    /// Starts as many as are missing, and gives what is charged to all.
    fn grow(
        &mut self,
        crowd: &Crowd,
        subject: &Subject,
        bench: &'b Bench,
    ) -> Result<f64, MeasureError> {
        let wanted = crowd.count as usize;
        let missing = self.instances.len()..wanted;
        let command = |place: usize| {
            let mut launch = bench.launch(&["idle", "--touch", "4KiB"]);
            launch.marks = Marks::None;
            launch.cgroups.clone_from(&self.limits[place]);
            subject.command(launch, Stdin::HeldOpen)
        };
        let commands = missing.map(command).collect::<Result<Vec<_>, _>>()?;
        self.group.enter()?;
        for command in &commands {
            let limit = bench.limit;
            let instance = Instance::start(command, Stdin::HeldOpen, limit, bench.interrupt)?;
            self.instances.push(instance);
        }
        // Nothing is timed here, so the harness leaves at once and charges nothing of its own.
        self.group.leave()?;
        for instance in self.instances.iter_mut().skip(wanted - commands.len()) {
            instance.wait_until_ready()?;
        }
        Ok(self.group.memory()?.sum().as_u64() as f64)
    }

    fn end(self, subject: &Subject) -> Result<(), MeasureError> {
        let ended = subject.end_idle(self.instances)?;
        self.group.remove(ended)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_instances_is_in_its_metric_s_name() {
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
