//! The figure that the words of a budget name, and what a run says of it.

use super::BudgetError;
use super::sentence::{Budget, Statistic};
use crate::figures::summary::{CellContent, Column, Section, Summary};
use crate::figures::tails;
use crate::model::TargetKind;
use crate::statistics::{Bounds, Interval, ROUNDS_FOR_95, Series};
use crate::words::text::one_line;

/// Longest name of a message, in characters. A hostile file can't make it longer.
const NAME: usize = 60;

/// A metric of a run.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'s, 'a> {
    pub section: &'s Section<'a>,
    pub column: &'s Column<'a>,
}

/// A figure as far as a budget needs it.
#[derive(Debug)]
pub struct Estimate<'s> {
    pub series: &'s Series,
    pub statistic: Statistic,
    pub value: f64,
    pub interval: Option<Interval>,
    /// How many rounds more an interval takes; 0 if there is one, or if nobody knows.
    pub needs: u64,
    /// The number of rounds with a value.
    pub rounds: u64,
    /// The period with which the times were polled; 0 if they weren't.
    pub period: f64,
}

/// The metric that a budget's words name: an experiment and a metric, an experiment alone, which
/// stands for its leading metric, or a metric that no other experiment has.
pub fn find<'s, 'a>(
    budget: &Budget,
    summary: &'s Summary<'a>,
) -> Result<Choice<'s, 'a>, BudgetError> {
    let all = || {
        summary.sections.iter().flat_map(|section| {
            let columns = section.columns.iter();
            columns.map(move |column| Choice { section, column })
        })
    };
    let no_figure = |known: Vec<String>| BudgetError::NoFigure {
        budget: budget.to_string(),
        figure: budget.figure.join(" "),
        known: known.join(", "),
    };
    let experiments = || {
        let names = summary
            .sections
            .iter()
            .map(|section| &section.experiment.name);
        names.map(|name| one_line(name, NAME)).collect()
    };
    let (first, second) = (&budget.figure[0], budget.figure.get(1));
    let section = summary.section(first);
    if let (Some(section), Some(metric)) = (section, second) {
        let of_experiment = || all().filter(|one| std::ptr::eq(one.section, section));
        let found = of_experiment().find(|one| one.column.metric.name == *metric);
        return found.ok_or_else(|| no_figure(of_experiment().map(Choice::name).collect()));
    }
    if second.is_some() {
        return Err(no_figure(experiments()));
    }
    if let Some(section) = section {
        let column = section.leading().ok_or_else(|| BudgetError::Ambiguous {
            budget: budget.to_string(),
            known: names(all().filter(|one| std::ptr::eq(one.section, section))),
        })?;
        return Ok(Choice { section, column });
    }
    let named = || all().filter(|one| one.column.metric.name == *first);
    match named().count() {
        0 => Err(no_figure(experiments())),
        1 => named().next().ok_or_else(|| no_figure(Vec::new())),
        _ => Err(BudgetError::Ambiguous {
            budget: budget.to_string(),
            known: names(named()),
        }),
    }
}

fn names<'s, 'a: 's>(choices: impl Iterator<Item = Choice<'s, 'a>>) -> String {
    choices.map(Choice::name).collect::<Vec<_>>().join(", ")
}

impl<'s> Choice<'s, '_> {
    fn name(self) -> String {
        let (experiment, metric) = (&self.section.experiment.name, &self.column.metric.name);
        one_line(&format!("{experiment} {metric}"), NAME)
    }

    /// What the run says of the figure of `target`.
    pub fn estimate(
        self,
        budget: &Budget,
        summary: &Summary<'_>,
        target: &str,
    ) -> Result<Estimate<'s>, BudgetError> {
        let cells = self.column.cells.iter();
        let index = cells.clone().position(|cell| cell.target.name == target);
        let index = index.ok_or_else(|| BudgetError::NoTarget {
            budget: budget.to_string(),
            target: target.to_owned(),
            known: targets(summary),
        })?;
        let cell = &self.column.cells[index];
        let not_measured = |reason: &str| BudgetError::NotMeasured {
            budget: budget.to_string(),
            target: target.to_owned(),
            reason: one_line(reason, 3 * NAME),
        };
        let figure = match &cell.content {
            CellContent::Figure(figure) => figure,
            CellContent::Unavailable(reason) => return Err(not_measured(reason)),
            CellContent::NotTaken => return Err(not_measured("no sample was taken")),
            CellContent::Failed => {
                let first = cell.failures.first();
                let reason = first.map_or("every sample failed", |failure| failure.reason);
                return Err(not_measured(reason));
            }
        };
        let rounds = figure.series.rounds().count();
        let missing = ROUNDS_FOR_95.saturating_sub(figure.count);
        let (value, interval, samples) = match budget.statistic {
            Statistic::Median => (figure.median, figure.interval, missing),
            Statistic::P95 | Statistic::P99 => self.tail(budget, summary, index)?,
        };
        // Samples of one round come together.
        let more = (samples * rounds).div_ceil(figure.count);
        Ok(Estimate {
            series: &figure.series,
            statistic: budget.statistic,
            value,
            interval: interval.filter(|_| missing == 0),
            needs: more as u64,
            rounds: rounds as u64,
            period: self.column.metric.resolution.unwrap_or_default(),
        })
    }

    /// The far quantile of the target at `index`, its interval, and how many samples more that takes.
    fn tail(
        self,
        budget: &Budget,
        summary: &Summary<'_>,
        index: usize,
    ) -> Result<(f64, Option<Interval>, usize), BudgetError> {
        let tails = tails::of_column(summary, self.section, self.column);
        let tail = tails.iter().find(|tail| tail.index == index);
        let quantile = tail.and_then(|tail| match budget.statistic {
            Statistic::P99 => tail.p99,
            Statistic::P95 | Statistic::Median => tail.p95,
        });
        let quantile = quantile.ok_or_else(|| BudgetError::NoTail {
            budget: budget.to_string(),
            metric: one_line(&self.column.metric.name, NAME),
        })?;
        let needs = match quantile.bounds {
            Bounds::Needs(samples) => samples,
            Bounds::Within(_) | Bounds::NeedsRounds => 0,
        };
        Ok((quantile.value, quantile.bounds.interval(), needs))
    }
}

/// The targets of a run that a budget can be on: rungs first.
fn targets(summary: &Summary<'_>) -> String {
    let targets = &summary.run.targets;
    let (rungs, others): (Vec<_>, Vec<_>) = targets
        .iter()
        .partition(|target| matches!(target.kind, TargetKind::Rung(_)));
    let names = rungs.into_iter().chain(others);
    let names = names.map(|target| one_line(&target.name, NAME));
    names.collect::<Vec<_>>().join(", ")
}
