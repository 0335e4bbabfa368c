//! How much a target isolates, and what it costs: the figures of a trade-off.
//!
//! The amount is the number of system calls of the host's kernel within reach, as the host sees them; of a target that can't
//! be followed from outside, but runs its program on the host's kernel, it is what is answered inside.

use crate::figures::summary::{Column, Figure, Section, Summary};
use crate::model::Target;
use crate::schema::MetricSchema;
use crate::schema::isolation::{self as schema, ANSWERED, HOST_CALLS, HOST_KERNEL};

/// The columns of a run by which targets are held against each other.
#[derive(Debug, Clone, Copy)]
pub struct Looks<'s, 'a> {
    summary: &'s Summary<'a>,
}

/// How much of the host's kernel is within reach.
#[derive(Debug, Clone, Copy)]
pub struct Reach<'s, 'a> {
    /// How many different system calls.
    pub calls: &'s Figure<'a>,
    /// Whether they were seen from inside alone.
    pub from_inside: bool,
}

impl<'s, 'a> Looks<'s, 'a> {
    /// Those of a run; nothing if it has no figure of the experiment.
    pub fn of(summary: &'s Summary<'a>) -> Option<Self> {
        let looks = Self { summary };
        let has_any = |name| looks.column(name).is_some_and(Column::has_figures);
        [HOST_CALLS, ANSWERED]
            .into_iter()
            .any(has_any)
            .then_some(looks)
    }

    /// The leading column of an experiment.
    pub fn leading(self, experiment: &str) -> Option<&'s Column<'a>> {
        self.section(experiment)?.leading()
    }

    /// One of this experiment's columns.
    pub fn column(self, metric: MetricSchema) -> Option<&'s Column<'a>> {
        let mut columns = self.section(schema::NAME)?.columns.iter();
        columns.find(|column| column.metric.name == metric.name)
    }

    fn section(self, experiment: &str) -> Option<&'s Section<'a>> {
        let mut sections = self.summary.sections.iter();
        sections.find(|section| section.experiment.name == experiment)
    }

    /// A figure of the experiment.
    pub fn figure(self, metric: MetricSchema, target: &str) -> Option<&'s Figure<'a>> {
        self.column(metric)?.figure_of(target)
    }

    /// Whether the target's program runs on the host's kernel, if that is known.
    pub fn is_on_host_kernel(self, target: &str) -> Option<bool> {
        Some(self.figure(HOST_KERNEL, target)?.median > 0.5)
    }

    /// How much of the host's kernel is within the target's reach.
    pub fn reach(self, target: &str) -> Option<Reach<'s, 'a>> {
        if let Some(calls) = self.figure(HOST_CALLS, target) {
            return Some(Reach {
                calls,
                from_inside: false,
            });
        }
        let calls = self.figure(ANSWERED, target)?;
        (self.is_on_host_kernel(target)?).then_some(Reach {
            calls,
            from_inside: true,
        })
    }

    /// The targets of which anything was seen, in the run's order.
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
        assert!(Looks::of(&Summary::of(&run)).is_none());
        fixture::add_isolation(&mut run);
        let reach = |run: &crate::model::Run, target| {
            let summary = Summary::of(run);
            let reach = Looks::of(&summary).unwrap().reach(target)?;
            Some((reach.calls.median, reach.from_inside))
        };
        assert_eq!(reach(&run, "process"), Some((355.0, false)));
        // Docker's processes are a daemon's.
        assert_eq!(reach(&run, "docker"), Some((290.0, true)));
        assert_eq!(reach(&run, "bwrap"), None);
        run.samples
            .retain(|sample| sample.target != "microvm-bare" || sample.metric != HOST_CALLS.name);
        assert_eq!(reach(&run, "microvm-bare"), None, "its calls are a VMM's");
    }
}
