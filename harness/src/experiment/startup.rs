//! Start-up: from just before the harness clones the launcher to the arrival of the workload's ready line, cut at
//! the launcher's phase marks; then the exit, and the teardown.
//!
//! The instance's accounting cgroup is made and joined before the clock starts: the first write to a
//! `cgroup.procs` after an idle moment waits for an RCU grace period of up to 18 ms, which isn't the target's.

use isobench_reports::model::{Better, Part, TOTAL, Unit};

use super::{
    Bench, Experiment, MeasureError, MetricInfo, Reading, Rounds, STARTUP, Subject, nanoseconds,
    part,
};
use crate::accounting::Accounting;
use crate::instance::{Instance, Stdin};
use crate::marks::{Mark, MonotonicTime};
use crate::plan::Profile;
use crate::target::Target;

const READY: &str = "ready";
const EXIT: &str = "exit";
const TEARDOWN: &str = "teardown";

/// The phase after the last mark, or the whole start of a target that marks none.
const WORKLOAD: &str = "workload";

/// See the module's documentation.
#[derive(Debug)]
pub struct Startup;

impl Experiment for Startup {
    fn name(&self) -> &'static str {
        STARTUP
    }

    fn method(&self) -> &'static str {
        "From just before the target's command is spawned until the workload's first line arrives, on the host's \
         monotonic clock; one fresh instance a sample, targets in shuffled order, back to back. `exit` is from that \
         line until the command has ended, `teardown` from there until its cgroup is empty and removed. The \
         accounting cgroup is made and joined before the clock starts."
    }

    fn metrics(&self) -> Vec<MetricInfo> {
        let time = |name, title| MetricInfo {
            name,
            title,
            unit: Unit::Nanoseconds,
            better: Better::Lower,
        };
        vec![
            time(READY, "Start-up until ready"),
            time(EXIT, "Exit after ready"),
            time(TEARDOWN, "Teardown after exit"),
        ]
    }

    fn parts(&self, metric: &str, targets: &[&dyn Target]) -> Vec<Part> {
        if metric != READY {
            return Vec::new();
        }
        let mut parts: Vec<Part> = Vec::new();
        for phase in targets.iter().flat_map(|target| target.phases()) {
            if parts.iter().all(|known| known.name != phase.name) {
                parts.push(phase);
            }
        }
        parts.push(part(
            WORKLOAD,
            "the rest up to the ready line: for a launcher that marks its phases, the program's own start; else everything",
        ));
        parts
    }

    fn cases(&self) -> Vec<Vec<&'static str>> {
        vec![vec![READY, EXIT, TEARDOWN]]
    }

    fn rounds(&self, profile: Profile) -> Rounds {
        match profile {
            Profile::Quick => Rounds {
                warmup: 2,
                measured: 25,
            },
            Profile::Standard => Rounds {
                warmup: 5,
                measured: 200,
            },
            Profile::Thorough => Rounds {
                warmup: 10,
                measured: 1000,
            },
        }
    }

    fn measure(
        &self,
        _: usize,
        subject: &Subject,
        bench: &Bench,
    ) -> Result<Vec<Reading>, MeasureError> {
        let group = bench.accounting.map(Accounting::group).transpose()?;
        let mut launch = bench.launch(subject, &["ready"]);
        if let Some(group) = &group {
            launch.limits = group.limit_directories();
            group.enter()?;
        }
        let mut instance = Instance::start(
            &subject.target.command(&launch),
            Stdin::Null,
            bench.limit,
            bench.interrupt,
        )?;
        let spawned = instance.spawned_at();
        let ready = instance.ready()?;
        let ended = instance.finished()?;
        let marks = instance.marks()?;

        let mut readings = phases(spawned, &marks, ready)?;
        readings.push(Reading::duration(EXIT, elapsed(EXIT, ready, ended)?));
        if let Some(group) = group {
            readings.push(Reading::duration(TEARDOWN, group.remove(ended)?));
        }
        Ok(readings)
    }
}

/// The whole start and its parts: each mark ends a phase, and the workload's own lasts from the last mark to
/// `ready`. Marks after that belong to the exit.
fn phases(
    spawned: MonotonicTime,
    marks: &[Mark],
    ready: MonotonicTime,
) -> Result<Vec<Reading>, MeasureError> {
    let mut readings = vec![Reading::duration(READY, elapsed(TOTAL, spawned, ready)?)];
    let mut previous = spawned;
    for mark in marks.iter().filter(|mark| mark.at <= ready) {
        readings.push(phase(&mark.phase, previous, mark.at)?);
        previous = mark.at;
    }
    readings.push(phase(WORKLOAD, previous, ready)?);
    Ok(readings)
}

fn phase(name: &str, from: MonotonicTime, to: MonotonicTime) -> Result<Reading, MeasureError> {
    Ok(Reading {
        metric: READY,
        part: name.to_owned(),
        value: nanoseconds(elapsed(name, from, to)?),
    })
}

fn elapsed(
    phase: &str,
    from: MonotonicTime,
    to: MonotonicTime,
) -> Result<std::time::Duration, MeasureError> {
    to.since(from).ok_or_else(|| MeasureError::NegativePhase {
        phase: phase.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(phase: &str, at: u64) -> Mark {
        Mark {
            phase: phase.to_owned(),
            at: MonotonicTime::from_nanos(at),
        }
    }

    #[test]
    fn phases_add_up_to_the_whole_and_later_marks_are_left_out() {
        let marks = [mark("start", 110), mark("clone", 150), mark("exit", 900)];
        let readings = phases(
            MonotonicTime::from_nanos(100),
            &marks,
            MonotonicTime::from_nanos(180),
        )
        .unwrap();
        let named: Vec<_> = readings
            .iter()
            .map(|r| (r.part.as_str(), r.value))
            .collect();
        assert_eq!(
            named,
            [
                (TOTAL, 80.0),
                ("start", 10.0),
                ("clone", 40.0),
                (WORKLOAD, 30.0)
            ]
        );
    }

    #[test]
    fn a_phase_that_ends_before_it_began_fails_the_sample() {
        let marks = [mark("start", 150), mark("clone", 140)];
        let error = phases(
            MonotonicTime::from_nanos(100),
            &marks,
            MonotonicTime::from_nanos(180),
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "phase `clone` ends before the one that precedes it"
        );
    }
}
