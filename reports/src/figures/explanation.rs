//! Why the targets of a timed command differ: what the command does, times what that costs there.
//!
//! A run that explains its commands counts what each does as a bare process. It also measures on
//! each target what a start, a system call and a page fault cost. From both follows how much longer
//! the command should take on a target than as a bare process. What the prediction leaves of the
//! measured difference is kept beside it.
//!
//! A launcher's own calls and faults are part of its target's start. So they aren't counted again:
//! the counts are those of the bare process, which has no launcher.
//!
//! VM exits have no term. Without a guest kernel each system call of the program is an exit, and the
//! price of a call has the exit in it. With a guest kernel, most exits belong to the boot, which is
//! in the start, and nothing tells them from those of the program.

use std::iter::Sum;
use std::ops::Sub;

use crate::figures::summary::{Figure, Section, Summary};
use crate::model::{Metric, MetricFamily, Target, TargetKind};
use crate::schema::explain::{CALLS, EXITS, FAULTS, TASKS, TRAFFIC, of_time};
use crate::schema::{MetricSchema, cpu, startup, time};
use crate::statistics::{Estimate, Interval};

/// A difference of times, in nanoseconds; below zero if something takes less.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Nanoseconds(pub f64);

impl Sum for Nanoseconds {
    fn sum<I: Iterator<Item = Self>>(times: I) -> Self {
        Self(times.map(|time| time.0).sum())
    }
}

impl Sub for Nanoseconds {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

/// A count of something that a command does, or a number of bytes; the metric has the unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted<'s> {
    /// What was counted.
    pub metric: &'s Metric,
    /// The whole.
    pub total: f64,
    /// The parts of the whole by name.
    pub parts: Vec<(&'s str, f64)>,
}

/// What one run of a command does as a bare process. What wasn't counted is absent.
#[derive(Debug)]
pub struct Work<'s> {
    /// System calls; the parts are the calls' names.
    pub calls: Option<Counted<'s>>,
    /// Page faults; the parts are `minor` and `major`.
    pub faults: Option<Counted<'s>>,
    /// Processes and threads that were started.
    pub tasks: Option<Counted<'s>>,
    /// Bytes that were read, written and sent.
    pub traffic: Option<Counted<'s>>,
}

/// A term of a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// What an ordinary program's start takes longer; its end too, if the command runs to its end.
    Start,
    /// The command's system calls, times what one costs more.
    SystemCalls,
    /// The command's minor page faults, times what one costs more.
    PageFaults,
}

/// How much longer a command takes on a target than as a bare process, and why.
#[derive(Debug)]
pub struct TargetExplanation<'s> {
    /// The target.
    pub target: &'s Target,
    /// The target's place in the run.
    pub index: usize,
    /// The difference of the medians, in nanoseconds.
    pub measured: Estimate,
    /// The terms of the prediction. A term is absent if a price or a count behind it is.
    pub terms: [(Term, Option<Nanoseconds>); 3],
    /// The system calls that the host's kernel served, the launcher's included.
    pub calls: Option<Counted<'s>>,
    /// The VM exits; the parts are the reasons.
    pub exits: Option<Counted<'s>>,
}

/// Why the targets of a command differ.
#[derive(Debug)]
pub struct Explanation<'s> {
    /// The bare process.
    pub base: &'s Target,
    /// What the command does.
    pub work: Work<'s>,
    /// Whether the command was timed to its end, and not until it was ready.
    pub is_to_the_end: bool,
    /// The number of samples behind the price that has the fewest; 0 without any price.
    pub price_samples: usize,
    /// The other targets that have a figure, in the run's order.
    pub targets: Vec<TargetExplanation<'s>>,
}

impl<'s> Counted<'s> {
    fn of(explained: &'s Section<'_>, metric: MetricSchema, index: usize) -> Option<Self> {
        let column = explained.column(metric)?;
        let figure = column.cells[index].figure()?;
        let parts = figure.parts.iter().map(|part| (part.name, part.median));
        Some(Self {
            metric: column.metric,
            total: figure.median,
            parts: parts.collect(),
        })
    }

    /// The count of a part.
    pub fn part(&self, name: &str) -> Option<f64> {
        let part = self.parts.iter().find(|(known, _)| *known == name);
        part.map(|(_, count)| *count)
    }

    /// The `most` largest parts, and the sum of all others.
    pub fn largest(&self, most: usize) -> (Vec<(&'s str, f64)>, f64) {
        let mut parts = self.parts.clone();
        parts.sort_by(|left, right| right.1.total_cmp(&left.1));
        let others = parts.split_off(most.min(parts.len()));
        (parts, others.iter().map(|(_, count)| count).sum())
    }
}

impl<'s> Work<'s> {
    fn of(explained: &'s Section<'_>, index: usize) -> Self {
        let counted = |metric| Counted::of(explained, metric, index);
        Self {
            calls: counted(CALLS),
            faults: counted(FAULTS),
            tasks: counted(TASKS),
            traffic: counted(TRAFFIC),
        }
    }
}

impl TargetExplanation<'_> {
    /// The sum of the terms; nothing if there is no term.
    pub fn predicted(&self) -> Option<Nanoseconds> {
        let mut terms = self.terms.iter().filter_map(|(_, time)| *time).peekable();
        terms.peek().is_some().then(|| terms.sum())
    }

    /// What the prediction leaves of the measured difference; below zero if it predicts too much.
    pub fn unexplained(&self) -> Option<Nanoseconds> {
        Some(Nanoseconds(self.measured.value) - self.predicted()?)
    }

    /// The terms that are absent.
    pub fn missing(&self) -> impl Iterator<Item = Term> {
        let absent = self.terms.iter().filter(|(_, time)| time.is_none());
        absent.map(|(term, _)| *term)
    }
}

impl<'s> Explanation<'s> {
    /// Explains a timed command. There is nothing if the run didn't count what the command does, or
    /// if the bare process has no figure.
    pub fn of(summary: &'s Summary<'_>, section: &'s Section<'_>) -> Option<Self> {
        let explained = summary.section(&of_time(&section.experiment.name)?)?;
        let targets = &summary.run.targets;
        let base = targets
            .iter()
            .position(|target| target.kind == TargetKind::Rung(0))?;
        let column = section.leading()?;
        let is_to_the_end = column.metric.family == MetricFamily::LifeTime;
        let of_process = column.cells[base].figure()?;
        let work = Work::of(explained, base);
        if work.calls.is_none() && work.faults.is_none() {
            return None;
        }
        let prices = Prices { summary, base };
        let period = column.metric.resolution.unwrap_or_default();
        let of_target = |index: usize| {
            Some(TargetExplanation {
                target: &targets[index],
                index,
                measured: difference(column.cells[index].figure()?, of_process, period),
                terms: prices.terms(&work, is_to_the_end, index),
                calls: Counted::of(explained, CALLS, index),
                exits: Counted::of(explained, EXITS, index),
            })
        };
        let others = (0..targets.len()).filter(|index| *index != base);
        let others: Vec<_> = others.filter_map(of_target).collect();
        Some(Self {
            base: &targets[base],
            is_to_the_end,
            price_samples: prices.samples(),
            targets: others,
            work,
        })
    }
}

/// The difference of two medians, each of which may be too high by up to `period`.
fn difference(own: &Figure<'_>, base: &Figure<'_>, period: f64) -> Estimate {
    let interval = own.series.difference_interval(&base.series);
    Estimate {
        value: own.median - base.median,
        interval: interval.map(|Interval { low, high }| Interval {
            low: low - period,
            high: high + period,
        }),
    }
}

/// What starts and operations cost in a run.
struct Prices<'s, 'a> {
    summary: &'s Summary<'a>,
    /// The place of the bare process.
    base: usize,
}

impl Prices<'_, '_> {
    fn figure(&self, experiment: &str, metric: MetricSchema, index: usize) -> Option<&Figure<'_>> {
        let column = self.summary.section(experiment)?.column(metric)?;
        column.cells[index].figure()
    }

    /// What one costs more on the target at `index` than on the bare process.
    fn extra(&self, experiment: &str, metric: MetricSchema, index: usize) -> Option<f64> {
        let own = self.figure(experiment, metric, index)?.median;
        Some(own - self.figure(experiment, metric, self.base)?.median)
    }

    fn terms(
        &self,
        work: &Work<'_>,
        is_to_the_end: bool,
        index: usize,
    ) -> [(Term, Option<Nanoseconds>); 3] {
        let start = self.extra(startup::NAME, startup::READY_ORDINARY, index);
        let start = if is_to_the_end {
            let end = self.extra(startup::NAME, startup::EXIT, index);
            start.zip(end).map(|(start, end)| start + end)
        } else {
            start
        };
        let call = self.extra(cpu::NAME, cpu::SYSTEM_CALL, index);
        let fault = self.extra(cpu::NAME, cpu::PAGE_FAULT, index);
        let calls = work.calls.as_ref().map(|calls| calls.total);
        let faults = work.faults.as_ref().and_then(|faults| faults.part("minor"));
        let of = |price: Option<f64>, count: Option<f64>| Some(Nanoseconds(price? * count?));
        [
            (Term::Start, start.map(Nanoseconds)),
            (Term::SystemCalls, of(call, calls)),
            (Term::PageFaults, of(fault, faults)),
        ]
    }

    /// The number of samples behind the price of an operation that has the fewest.
    fn samples(&self) -> usize {
        let targets = 0..self.summary.run.targets.len();
        let figures = targets.flat_map(|index| {
            let metrics = [cpu::SYSTEM_CALL, cpu::PAGE_FAULT];
            metrics.map(|metric| self.figure(cpu::NAME, metric, index))
        });
        let counts = figures.flatten().map(|figure| figure.count);
        counts.min().unwrap_or_default()
    }
}

/// The explanations of a run's commands, each with the section of its command.
pub fn all<'s, 'a>(
    summary: &'s Summary<'a>,
) -> impl Iterator<Item = (&'s Section<'a>, Explanation<'s>)> {
    let sections = summary.sections.iter();
    let timed = sections.filter(|section| time::is_time(&section.experiment.name));
    timed.filter_map(|section| Some((section, Explanation::of(summary, section)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::model::Run;

    fn with<T>(run: &Run, check: impl Fn(Option<Explanation<'_>>) -> T) -> T {
        let summary = Summary::of(run);
        let section = summary.section(time::NAME).unwrap();
        check(Explanation::of(&summary, section))
    }

    fn terms(explanation: &Explanation<'_>, target: &str) -> [Option<f64>; 3] {
        let mut targets = explanation.targets.iter();
        let target = targets.find(|one| one.target.name == target).unwrap();
        target.terms.map(|(_, time)| time.map(|time| time.0))
    }

    #[test]
    fn counts_of_the_bare_process_times_what_each_costs_more() {
        with(&fixture::explained(), |explanation| {
            let explanation = explanation.unwrap();
            // A start of 3 ms and an end of 0.6 ms against 1 ms and 0.1 ms; 500 calls of 300 ns
            // against 200 ns; 1000 faults of 700 ns against 500 ns.
            let expected = [2.5e6, 5e4, 2e5].map(Some);
            assert_eq!(terms(&explanation, "container"), expected);
            let container = &explanation.targets[0];
            assert_eq!(container.predicted(), Some(Nanoseconds(2.75e6)));
            let rest = container.measured.value - 2.75e6;
            assert_eq!(container.unexplained(), Some(Nanoseconds(rest)));
            let calls = container.calls.as_ref().map(|calls| calls.total);
            assert_eq!(calls, Some(780.0));
        });
    }

    #[test]
    fn a_term_without_its_price_or_its_count_is_absent_and_named() {
        let mut run = fixture::explained();
        with(&run, |explanation| {
            let explanation = explanation.unwrap();
            assert_eq!(terms(&explanation, "bwrap")[2], None);
            let missing: Vec<Term> = explanation.targets[1].missing().collect();
            assert_eq!(missing, [Term::PageFaults]);
        });
        run.samples.retain(|sample| sample.metric != "page-faults");
        with(&run, |explanation| {
            assert_eq!(terms(&explanation.unwrap(), "container")[2], None);
        });
        run.samples.retain(|sample| sample.metric != "calls");
        with(&run, |explanation| assert!(explanation.is_none()));
    }

    #[test]
    fn what_is_timed_until_it_is_ready_has_no_end_in_its_start() {
        let mut run = fixture::explained();
        let experiment = run
            .experiments
            .iter_mut()
            .find(|one| one.name == time::NAME);
        experiment.unwrap().metrics[0].family = MetricFamily::StartTime;
        with(&run, |explanation| {
            assert_eq!(terms(&explanation.unwrap(), "container")[0], Some(2e6));
        });
    }

    #[test]
    fn a_polled_difference_is_less_sure_by_the_period_on_both_sides() {
        let mut run = fixture::explained();
        let interval = |run: &Run| {
            with(run, |explanation| {
                explanation.unwrap().targets[0].measured.interval.unwrap()
            })
        };
        let exact = interval(&run);
        let experiment = run
            .experiments
            .iter_mut()
            .find(|one| one.name == time::NAME);
        experiment.unwrap().metrics[0].resolution = Some(1e6);
        let polled = interval(&run);
        assert_eq!(
            (polled.low, polled.high),
            (exact.low - 1e6, exact.high + 1e6)
        );
    }

    #[test]
    fn the_largest_parts_are_first_and_the_others_are_summed() {
        with(&fixture::explained(), |explanation| {
            let calls = explanation.unwrap().work.calls.unwrap();
            assert_eq!(
                calls.largest(2),
                (vec![("openat", 250.0), ("read", 150.0)], 100.0)
            );
            assert_eq!(calls.largest(9).0.len(), 3);
        });
    }
}
