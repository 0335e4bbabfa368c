//! The figures that decide a claim, and how a card quotes them.

use std::fmt::Display;

use super::Finding;
use super::quote::{Measure, Quote};
use crate::figures::summary::{Cell, Column, Figure, MINIMUM_EFFECT, Summary};
use crate::model::{Better, Target, TargetFamily, TargetKind, Unit};
use crate::schema::MetricSchema;
use crate::statistics::{Estimate, Interval};
use crate::words::units;
use crate::words::{Words, unbroken};

/// Parts are named as most of a whole if they make up at least this share of it together.
const MOST: f64 = 0.5;

/// A ratio is called the same if its interval lies within this factor of 1.
const SAME: f64 = 1.1;

/// A run's figures, and the language in which they are quoted.
pub struct Evidence<'s, 'a> {
    /// The figures.
    pub summary: &'s Summary<'a>,
    /// The texts of the language.
    pub words: &'s Words,
}

/// A figure with its target.
pub struct TargetFigure<'s, 'a> {
    /// The target.
    pub target: &'a Target,
    /// The figure.
    pub figure: &'s Figure<'a>,
}

impl<'s, 'a> Evidence<'s, 'a> {
    /// The figures of a metric, if the run has any.
    pub fn column(&self, experiment: &str, metric: MetricSchema) -> Option<&'s Column<'a>> {
        self.summary.section(experiment)?.column(metric)
    }

    /// Quotes a figure: its target, its median and its interval.
    pub fn quote(&self, unit: Unit, one: &TargetFigure<'_, '_>) -> Quote {
        let value = unbroken(unit, one.figure.median);
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

    /// Quotes a number of system calls in the words of `sentence`.
    pub fn quote_calls(&self, sentence: &str, target: &str, calls: &Figure<'_>) -> Quote {
        let spread = self.spread_of_calls(calls);
        let number = units::value(Unit::Count, calls.median);
        let values: [(&str, &dyn Display); 3] =
            [("target", &target), ("calls", &number), ("spread", &spread)];
        let text = self.words.say(sentence, &values);
        Quote::of(text, Unit::Count, target, calls)
    }

    /// How much a number of system calls differs between samples.
    fn spread_of_calls(&self, calls: &Figure<'_>) -> String {
        match calls.interval {
            None => self.words.text("quote.one-look").to_owned(),
            Some(Interval { low, high }) if low >= high => {
                self.words.say_one("quote.same", "count", calls.count)
            }
            Some(interval) => self.words.interval(Unit::Count, interval, calls.median),
        }
    }

    /// Quotes how a machine compares with the container in one metric.
    pub fn quote_machine(
        &self,
        column: &Column<'_>,
        machine: &TargetFigure<'_, '_>,
        container: &TargetFigure<'_, '_>,
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

    /// Quotes the ratio of the first of two figures to the second in the words of `sentence`, which
    /// has places for `values`, the ratio and its interval. The quote is about `metric` and
    /// `target`.
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

    /// The parts that make up most of a figure, with their shares; nothing if the figure has no
    /// parts.
    pub fn dominant(&self, unit: Unit, one: &TargetFigure<'_, '_>) -> Option<String> {
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
        let (parts, whole) = (self.words.list(&told), unbroken(unit, whole));
        // A whole with a single part consists of nothing else.
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

    /// The finding for a run that doesn't have the experiment, or has no figure of it that decides
    /// the claim.
    pub fn without_experiment(&self, experiment: &str) -> Finding {
        let because = match self.summary.section(experiment) {
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

    /// The finding for a run in which no container or no virtual machine was measured, with the
    /// reasons of the targets that can't run.
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

/// The figures of the targets of some families.
pub fn measured_of<'s, 'a>(
    column: &'s Column<'a>,
    is_wanted: impl Fn(TargetFamily) -> bool,
) -> Vec<TargetFigure<'s, 'a>> {
    let cells = column.cells.iter();
    let wanted = cells.filter(|cell| is_wanted(cell.target.family));
    wanted.filter_map(measured).collect()
}

/// The figure of a cell, if it has one.
fn measured<'s, 'a>(cell: &'s Cell<'a>) -> Option<TargetFigure<'s, 'a>> {
    Some(TargetFigure {
        target: cell.target,
        figure: cell.figure()?,
    })
}

/// The figure of the container that stands for all containers: isobench's own, or else the first
/// that was measured.
pub fn container_of<'s, 'a>(column: &'s Column<'a>) -> Option<TargetFigure<'s, 'a>> {
    let mut containers = measured_of(column, |family| family == TargetFamily::Container);
    let is_own = |one: &TargetFigure<'_, '_>| matches!(one.target.kind, TargetKind::Rung(_));
    let own = containers.iter().position(is_own);
    (!containers.is_empty()).then(|| containers.swap_remove(own.unwrap_or(0)))
}

/// The figures of the virtual machines. A machine with an emulated processor says nothing about
/// virtual machines' speed, and is left out.
pub fn machines_of<'s, 'a>(column: &'s Column<'a>) -> Vec<TargetFigure<'s, 'a>> {
    let mut machines = measured_of(column, TargetFamily::is_machine);
    machines.retain(|one| !one.target.emulated);
    machines
}

/// How a figure compares with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The whole interval is at or above the limit.
    Reached,
    /// The whole interval is below the limit.
    NotReached,
    /// The limit lies within the interval.
    Unclear,
}

impl Limit {
    /// Compares `figure` with `limit`, by its interval.
    pub fn of(limit: f64, figure: &Figure<'_>) -> Self {
        let (low, high) = figure
            .interval
            .map_or((figure.median, figure.median), |interval| {
                (interval.low, interval.high)
            });
        if low >= limit {
            Self::Reached
        } else if high < limit {
            Self::NotReached
        } else {
            Self::Unclear
        }
    }
}

/// How one figure compares with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The whole interval of the ratio is above 1, by as much as is called a difference.
    Above,
    /// The whole interval of the ratio is below 1, by as much as is called a difference.
    Below,
    /// The whole interval of the ratio is so close to 1 that the two are called the same.
    Alike,
    /// The interval of the ratio is too wide to tell.
    Unknown,
}

impl Standing {
    /// Compares `one` with `other`, by the interval of their ratio.
    pub fn of(one: &Figure<'_>, other: &Figure<'_>) -> Self {
        let Some(Interval { low, high }) = one.series.ratio_interval(&other.series) else {
            return Self::Unknown;
        };
        if low >= 1.0 + MINIMUM_EFFECT {
            Self::Above
        } else if high <= 1.0 / (1.0 + MINIMUM_EFFECT) {
            Self::Below
        } else if low >= 1.0 / SAME && high <= SAME {
            Self::Alike
        } else {
            Self::Unknown
        }
    }
}

/// What one comparison says to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The comparison agrees with the claim.
    Agrees,
    /// The comparison disagrees with the claim.
    Disagrees,
}

impl Answer {
    /// What the figures of a machine and of the container say to the claim that the container is
    /// better; nothing if the interval of their ratio is too wide to tell.
    pub fn is_container_better(
        better: Better,
        machine: &Figure<'_>,
        container: &Figure<'_>,
    ) -> Option<Self> {
        match (Standing::of(machine, container), better) {
            (Standing::Unknown, _) => None,
            (Standing::Above, Better::Lower) | (Standing::Below, Better::Higher) => {
                Some(Self::Agrees)
            }
            _ => Some(Self::Disagrees),
        }
    }
}
