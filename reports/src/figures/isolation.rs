//! How much a target isolates, and what that costs.
//!
//! How much is the number of system calls of the host's kernel that are within reach, as seen from
//! outside. A target whose processes belong to a daemon can't be watched from outside; if it runs
//! its program on the host's kernel, the number is that of the calls answered inside.

use crate::figures::summary::{Column, Figure, Summary};
use crate::model::Target;
use crate::schema::MetricSchema;
use crate::schema::isolation::{self as schema, ANSWERED, HOST_CALLS, HOST_KERNEL};

/// The figures of a run that say how much its targets isolate.
#[derive(Debug, Clone, Copy)]
pub struct IsolationFigures<'s, 'a> {
    summary: &'s Summary<'a>,
}

/// How much of the host's kernel is within a target's reach.
#[derive(Debug, Clone, Copy)]
pub struct Reach<'s, 'a> {
    /// The number of different system calls.
    pub calls: &'s Figure<'a>,
    /// From where the calls were seen.
    pub seen_from: Viewpoint,
}

/// From where system calls were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewpoint {
    /// From outside: the calls that the target makes of the host's kernel.
    Outside,
    /// From inside: the calls that are answered to the program.
    Inside,
}

impl<'s, 'a> IsolationFigures<'s, 'a> {
    /// The figures of `summary`; nothing if the run has no figure of the experiment.
    pub fn of(summary: &'s Summary<'a>) -> Option<Self> {
        let figures = Self { summary };
        let has_any = |metric| figures.column(metric).is_some_and(Column::has_figures);
        [HOST_CALLS, ANSWERED]
            .into_iter()
            .any(has_any)
            .then_some(figures)
    }

    /// The leading column of an experiment.
    pub fn leading(self, experiment: &str) -> Option<&'s Column<'a>> {
        self.summary.section(experiment)?.leading()
    }

    /// A column of the experiment `isolation`.
    pub fn column(self, metric: MetricSchema) -> Option<&'s Column<'a>> {
        self.summary.section(schema::NAME)?.column(metric)
    }

    /// A target's figure in the experiment `isolation`.
    pub fn figure(self, metric: MetricSchema, target: &str) -> Option<&'s Figure<'a>> {
        self.column(metric)?.figure_of(target)
    }

    /// Whether the target's program runs on the host's kernel, if that is known.
    pub fn is_on_host_kernel(self, target: &str) -> Option<bool> {
        Some(self.figure(HOST_KERNEL, target)?.median > 0.5)
    }

    /// How much of the host's kernel is within the target's reach, if that is known.
    pub fn reach(self, target: &str) -> Option<Reach<'s, 'a>> {
        if let Some(calls) = self.figure(HOST_CALLS, target) {
            return Some(Reach {
                calls,
                seen_from: Viewpoint::Outside,
            });
        }
        let calls = self.figure(ANSWERED, target)?;
        (self.is_on_host_kernel(target)?).then_some(Reach {
            calls,
            seen_from: Viewpoint::Inside,
        })
    }

    /// The targets that have any figure of the experiment, in the run's order.
    pub fn targets(self) -> impl Iterator<Item = &'a Target> + 's {
        let run = self.summary.run;
        run.targets.iter().filter(move |target| {
            let of = |metric| self.figure(metric, &target.name).is_some();
            of(HOST_CALLS) || of(ANSWERED)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_host_s_sight_goes_first_and_that_from_inside_needs_its_kernel() {
        let mut run = fixture::run();
        assert!(IsolationFigures::of(&Summary::of(&run)).is_none());
        fixture::add_isolation(&mut run);
        let reach = |run: &crate::model::Run, target| {
            let summary = Summary::of(run);
            let reach = IsolationFigures::of(&summary).unwrap().reach(target)?;
            Some((reach.calls.median, reach.seen_from))
        };
        assert_eq!(reach(&run, "process"), Some((355.0, Viewpoint::Outside)));
        // Docker's processes belong to its daemon.
        assert_eq!(reach(&run, "docker"), Some((290.0, Viewpoint::Inside)));
        assert_eq!(reach(&run, "bwrap"), None);
        run.samples
            .retain(|sample| sample.target != "microvm-bare" || sample.metric != HOST_CALLS.name);
        assert_eq!(reach(&run, "microvm-bare"), None, "its calls are a VMM's");
    }
}
