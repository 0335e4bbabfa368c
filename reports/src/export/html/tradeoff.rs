//! Cost against isolation: the plots, and a table of the figures behind them.

use super::figure::FigureView;
use crate::chart::tradeoff::{self, Dot};
use crate::chart::{ChartError, theme};
use crate::figures::isolation::{IsolationFigures, Viewpoint};
use crate::figures::summary::{Column, Summary};
use crate::model::{Target, Unit};
use crate::schema::isolation::{ANSWERED, EXITS, REFUSED};
use crate::schema::{memory, startup};
use crate::words::Words;
use crate::words::units;

/// The costs of a target: the experiment whose leading metric is the cost, and the title of the
/// plot.
const COSTS: [(&str, &str); 2] = [
    (startup::NAME, "tradeoff.start"),
    (memory::NAME, "tradeoff.memory"),
];

/// The section about cost and isolation.
pub struct TradeoffView {
    /// A plot for each cost that the run has.
    pub figures: Vec<FigureView>,
    /// The titles of the columns.
    pub columns: Vec<String>,
    /// A row for each target that has any figure of isolation.
    pub rows: Vec<TradeoffRow>,
}

/// The figures of a target.
pub struct TradeoffRow {
    /// The class of the target's colour.
    pub ink: String,
    /// The target's name.
    pub name: String,
    /// The texts in the order of the columns; nothing for a figure that wasn't measured.
    pub cells: Vec<Option<String>>,
}

impl TradeoffRow {
    /// The cells with the titles of their columns.
    pub fn named<'v>(
        &'v self,
        columns: &'v [String],
    ) -> impl Iterator<Item = (&'v String, &'v Option<String>)> {
        columns.iter().zip(&self.cells)
    }
}

impl TradeoffView {
    /// The section for a run; nothing if the run has no figures of isolation.
    pub fn of(summary: &Summary<'_>, words: &Words) -> Result<Option<Self>, ChartError> {
        let Some(isolation) = IsolationFigures::of(summary) else {
            return Ok(None);
        };
        let own = [
            "tradeoff.reach",
            "tradeoff.inside",
            "tradeoff.refused",
            "tradeoff.kernel",
            "tradeoff.exits",
        ];
        let costs = costs(isolation).map(|(column, _)| column.metric.title.clone());
        let columns = own.iter().map(|name| words.text(name).to_owned());
        Ok(Some(Self {
            figures: figures(summary, words)?,
            columns: columns.chain(costs).collect(),
            rows: isolation
                .targets()
                .map(|target| row(summary, isolation, target, words))
                .collect(),
        }))
    }
}

/// The plots of a run; none if the run has no figures of isolation, or no costs.
pub fn figures(summary: &Summary<'_>, words: &Words) -> Result<Vec<FigureView>, ChartError> {
    let Some(isolation) = IsolationFigures::of(summary) else {
        return Ok(Vec::new());
    };
    let mut figures = Vec::new();
    for (column, title) in costs(isolation) {
        let dot = |target: &Target| {
            let cost = column.figure_of(&target.name)?.median;
            let calls = isolation.reach(&target.name)?.calls.median;
            // A logarithmic axis has no place for zero.
            (cost > 0.0 && calls > 0.0).then(|| Dot {
                name: target.name.clone(),
                ink: theme::ink_of(summary.run, target),
                calls,
                cost,
            })
        };
        let dots: Vec<Dot> = isolation.targets().filter_map(dot).collect();
        let chart = tradeoff::render(column.metric.unit, &dots, words)?;
        figures.extend(chart.map(|chart| FigureView {
            title: words.text(title).to_owned(),
            chart,
            logarithmic: None,
            caption: words.text("tradeoff.caption").to_owned(),
            legend: Vec::new(),
        }));
    }
    Ok(figures)
}

fn costs<'s, 'a>(
    isolation: IsolationFigures<'s, 'a>,
) -> impl Iterator<Item = (&'s Column<'a>, &'static str)> {
    COSTS.into_iter().filter_map(move |(experiment, title)| {
        let column = isolation.leading(experiment)?;
        column.has_figures().then_some((column, title))
    })
}

fn row(
    summary: &Summary<'_>,
    isolation: IsolationFigures<'_, '_>,
    target: &Target,
    words: &Words,
) -> TradeoffRow {
    let name = target.name.as_str();
    let count = |value| units::value(Unit::Count, value);
    let plain = |metric| Some(count(isolation.figure(metric, name)?.median));
    let reach = isolation.reach(name).map(|reach| {
        let calls = count(reach.calls.median);
        match reach.seen_from {
            Viewpoint::Inside => words.say_one("tradeoff.from-inside", "calls", calls),
            Viewpoint::Outside => calls,
        }
    });
    let kernel = isolation.is_on_host_kernel(name).map(|is_host_s| {
        let name = if is_host_s {
            "tradeoff.host-s"
        } else {
            "tradeoff.other"
        };
        words.text(name).to_owned()
    });
    let own = [
        reach,
        plain(ANSWERED),
        plain(REFUSED),
        kernel,
        exits(isolation, name, words),
    ];
    let costs = costs(isolation).map(|(column, _)| {
        let figure = column.figure_of(name)?;
        Some(units::value(column.metric.unit, figure.median))
    });
    TradeoffRow {
        ink: theme::ink_of(summary.run, target).name(),
        name: target.name.clone(),
        cells: own.into_iter().chain(costs).collect(),
    }
}

/// The exits of a virtual machine by reason. A program on the host's kernel is in no virtual
/// machine.
fn exits(isolation: IsolationFigures<'_, '_>, target: &str, words: &Words) -> Option<String> {
    if isolation.is_on_host_kernel(target) == Some(true) {
        return Some(words.text("tradeoff.no-machine").to_owned());
    }
    let parts = isolation.figure(EXITS, target)?.parts.iter();
    let parts: Vec<String> = parts
        .map(|part| format!("{} {}", units::value(Unit::Count, part.median), part.name))
        .collect();
    Some(words.list(&parts))
}
