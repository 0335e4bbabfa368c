//! What the claims ask of a run, and how they quote it.

use std::fmt::Display;

use super::quote::{Measure, Quote};
use super::{Finding, Verdict};
use crate::figures::summary::{Cell, Column, Figure, MINIMUM_EFFECT, Section, Summary};
use crate::model::{Better, Target, TargetFamily, TargetKind, Unit};
use crate::schema::MetricSchema;
use crate::statistics::{Estimate, Interval};
use crate::words::units;
use crate::words::{Words, together};

/// The parts that are named as most of a whole are at least so much of it together.
const MOST: f64 = 0.5;

/// An interval of a ratio within this of 1 is called the same.
const SAME: f64 = 1.1;

/// A run, and the words to quote it in.
pub struct Evidence<'s, 'a> {
    /// Its figures.
    pub summary: &'s Summary<'a>,
    /// The language.
    pub words: &'s Words,
}

/// A figure with the target that it is of.
pub struct Measured<'s, 'a> {
    /// The target.
    pub target: &'a Target,
    /// The figure.
    pub figure: &'s Figure<'a>,
}

/// How one side stands to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its whole interval is above, by as much as is called a difference.
    Above,
    /// Its whole interval is below.
    Below,
    /// Its whole interval is within what would be called the same.
    Alike,
    /// Its interval is too wide to tell.
    Unknown,
}

impl<'s, 'a> Evidence<'s, 'a> {
    /// An experiment's figures.
    pub fn section(&self, experiment: &str) -> Option<&'s Section<'a>> {
        let mut sections = self.summary.sections.iter();
        sections.find(|section| section.experiment.name == experiment)
    }

    /// One metric's figures.
    pub fn column(&self, experiment: &str, metric: MetricSchema) -> Option<&'s Column<'a>> {
        let mut columns = self.section(experiment)?.columns.iter();
        columns.find(|column| column.metric.name == metric.name)
    }

    /// A figure as it is quoted: target, median, interval.
    pub fn quote(&self, unit: Unit, one: &Measured<'_, '_>) -> Quote {
        let value = together(unit, one.figure.median);
        let text = match one.figure.interval {
            Some(interval) => {
                let interval = self.words.interval(unit, interval, one.figure.median);
                let values: [(&str, &dyn Display); 3] = [
                    ("target", &one.target.name),
                    ("value", &value),
                    ("interval", &interval),
                ];
                self.words.say("quote.figure", &values)
            }
            None => self.words.say(
                "quote.single",
                &[("target", &one.target.name), ("value", &value)],
            ),
        };
        Quote::of(text, unit, &one.target.name, one.figure)
    }

    /// A number of system calls as it is quoted by `sentence`.
    pub fn quote_calls(&self, sentence: &str, target: &str, calls: &Figure<'_>) -> Quote {
        let spread = self.spread_of_calls(calls);
        let number = units::value(Unit::Count, calls.median);
        let values: [(&str, &dyn Display); 3] =
            [("target", &target), ("calls", &number), ("spread", &spread)];
        let text = self.words.say(sentence, &values);
        Quote::of(text, Unit::Count, target, calls)
    }

    /// How far a count is the same in all samples.
    fn spread_of_calls(&self, calls: &Figure<'_>) -> String {
        match calls.interval {
            None => self.words.text("quote.one-look").to_owned(),
            Some(Interval { low, high }) if low >= high => {
                self.words.say_one("quote.same", "count", calls.count)
            }
            Some(interval) => self.words.interval(Unit::Count, interval, calls.median),
        }
    }

    /// How a machine stands to the container in one metric, as it is quoted.
    pub fn quote_machine(
        &self,
        column: &Column<'_>,
        machine: &Measured<'_, '_>,
        container: &Measured<'_, '_>,
    ) -> Option<Quote> {
        let metric = &column.metric.title;
        let values: [(&str, &dyn Display); 3] = [
            ("metric", metric),
            ("machine", &machine.target.name),
            ("container", &container.target.name),
        ];
        let figures = [machine.figure, container.figure];
        self.quote_ratio(
            "quote.ratio",
            &values,
            figures,
            metric,
            &machine.target.name,
        )
    }

    /// How often the second of two figures fits into the first, as it is quoted by `sentence`, which has `values` beside the ratio
    /// and its interval. It is a ratio in `metric`, of `target`.
    pub fn quote_ratio(
        &self,
        sentence: &str,
        values: &[(&str, &dyn Display)],
        [one, other]: [&Figure<'_>; 2],
        metric: &str,
        target: &str,
    ) -> Option<Quote> {
        let estimate = Estimate {
            value: one.series.ratio(&other.series)?,
            interval: one.series.ratio_interval(&other.series),
        };
        let ratio = units::ratio(estimate.value);
        let interval = estimate.interval.map_or_else(
            || self.words.text("quote.no-interval").to_owned(),
            |interval| self.words.ratio_interval(interval),
        );
        let own: [(&str, &dyn Display); 2] = [("ratio", &ratio), ("interval", &interval)];
        Some(Quote {
            text: self.words.say(sentence, &[values, &own].concat()),
            metric: metric.to_owned(),
            target: target.to_owned(),
            measure: Measure::Ratio,
            estimate,
        })
    }

    /// The parts that make most of a figure, with their shares; nothing if it isn't cut into parts.
    pub fn dominant(&self, unit: Unit, one: &Measured<'_, '_>) -> Option<String> {
        let whole = one.figure.median;
        let mut parts: Vec<_> = one.figure.parts.iter().collect();
        parts.sort_by(|left, right| right.typical.total_cmp(&left.typical));
        let mut told = Vec::new();
        let mut sum = 0.0;
        for part in parts {
            if sum >= MOST * whole || part.typical <= 0.0 {
                break;
            }
            sum += part.typical;
            told.push(format!(
                "{} ({})",
                part.name,
                units::part(part.typical / whole)
            ));
        }
        let (parts, whole) = (self.words.list(&told), together(unit, whole));
        // That a whole is its only part says nothing.
        (!told.is_empty() && one.figure.parts.len() > 1).then(|| {
            self.words.say(
                "nuance.dominant",
                &[
                    ("whole", &whole),
                    ("target", &one.target.name),
                    ("parts", &parts),
                ],
            )
        })
    }

    /// What is said where a run has no such experiment, or one without what is asked for.
    pub fn without(&self, experiment: &str) -> Finding {
        let because = match self.section(experiment) {
            Some(_) => self
                .words
                .say("undecided.no-figures", &[("experiment", &experiment)]),
            None => self
                .words
                .say("undecided.no-experiment", &[("experiment", &experiment)]),
        };
        let wanted = self
            .words
            .say("wanted.experiment", &[("experiment", &experiment)]);
        Finding::undecided(because, wanted)
    }

    /// What is said where no container or no virtual machine was measured: the reasons of those that can't run.
    pub fn without_targets(&self, is_wanted: impl Fn(TargetFamily) -> bool, side: &str) -> Finding {
        let targets = self.summary.run.targets.iter();
        let reasons = targets.filter(|target| is_wanted(target.family));
        let reasons: Vec<String> = reasons
            .filter_map(|target| {
                let unavailable = target.unavailable.as_ref()?;
                Some(format!("{}: {}", target.name, unavailable.reason))
            })
            .collect();
        let side = self.words.text(side);
        let because = if reasons.is_empty() {
            self.words.say("undecided.no-targets", &[("side", &side)])
        } else {
            reasons.join(self.words.text("list.semicolon"))
        };
        Finding::undecided(
            because,
            self.words.say("wanted.targets", &[("side", &side)]),
        )
    }
}

/// The targets of some families that have a figure.
pub fn measured_of<'s, 'a>(
    column: &'s Column<'a>,
    is_wanted: impl Fn(TargetFamily) -> bool,
) -> Vec<Measured<'s, 'a>> {
    let cells = column.cells.iter();
    let wanted = cells.filter(|cell| is_wanted(cell.target.family));
    wanted.filter_map(measured).collect()
}

/// The figure of a cell, if it has one.
fn measured<'s, 'a>(cell: &'s Cell<'a>) -> Option<Measured<'s, 'a>> {
    Some(Measured {
        target: cell.target,
        figure: cell.figure()?,
    })
}

/// The container that stands for all: isobench's own, or else the first that was measured.
pub fn container_of<'s, 'a>(column: &'s Column<'a>) -> Option<Measured<'s, 'a>> {
    let mut containers = measured_of(column, |family| family == TargetFamily::Container);
    let is_own = |one: &Measured<'_, '_>| matches!(one.target.kind, TargetKind::Rung(_));
    let own = containers.iter().position(is_own);
    (!containers.is_empty()).then(|| containers.swap_remove(own.unwrap_or(0)))
}

/// The virtual machines that have a figure.
pub fn machines_of<'s, 'a>(column: &'s Column<'a>) -> Vec<Measured<'s, 'a>> {
    measured_of(column, TargetFamily::is_machine)
}

/// Whether a figure is surely at least `limit`, or surely less; nothing if its interval holds it.
pub fn reaches(limit: f64, figure: &Figure<'_>) -> Option<bool> {
    let (low, high) = figure
        .interval
        .map_or((figure.median, figure.median), |interval| {
            (interval.low, interval.high)
        });
    if low >= limit {
        Some(true)
    } else if high < limit {
        Some(false)
    } else {
        None
    }
}

/// How `one` stands to `other`, by the interval of their ratio.
pub fn standing(one: &Figure<'_>, other: &Figure<'_>) -> Standing {
    let Some(Interval { low, high }) = one.series.ratio_interval(&other.series) else {
        return Standing::Unknown;
    };
    if low >= 1.0 + MINIMUM_EFFECT {
        Standing::Above
    } else if high <= 1.0 / (1.0 + MINIMUM_EFFECT) {
        Standing::Below
    } else if low >= 1.0 / SAME && high <= SAME {
        Standing::Alike
    } else {
        Standing::Unknown
    }
}

/// Whether the container is better than a machine in a metric; nothing if that isn't known.
pub fn is_container_better(
    better: Better,
    machine: &Figure<'_>,
    container: &Figure<'_>,
) -> Option<bool> {
    match (standing(machine, container), better) {
        (Standing::Unknown, _) => None,
        (Standing::Above, Better::Lower) | (Standing::Below, Better::Higher) => Some(true),
        _ => Some(false),
    }
}

/// What comparisons say together to a sentence by which the container is better.
pub fn together_say(container_is_better: &[bool]) -> Verdict {
    let count = container_is_better.iter().filter(|better| **better).count();
    match count {
        _ if container_is_better.is_empty() => Verdict::Undecided,
        0 => Verdict::Refuted,
        _ if count == container_is_better.len() => Verdict::Supported,
        _ => Verdict::Depends,
    }
}
