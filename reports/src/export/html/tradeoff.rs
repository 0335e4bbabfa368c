//! Cost against isolation: the plots, and the measures behind them as a table.

use super::figure::FigureView;
use crate::chart::tradeoff::{self, Dot};
use crate::chart::{ChartError, theme};
use crate::figures::isolation::Looks;
use crate::figures::summary::{Column, Summary};
use crate::model::{Target, Unit};
use crate::schema::isolation::{ANSWERED, EXITS, REFUSED};
use crate::schema::{memory, startup};
use crate::words::Words;
use crate::words::units;

/// What a target costs: the experiment, whose leading metric it is, and the title of the plot.
const COSTS: [(&str, &str); 2] = [
    (startup::NAME, "tradeoff.start"),
    (memory::NAME, "tradeoff.memory"),
];

/// The section.
pub struct TradeoffView {
    /// A plot for each cost that the run has.
    pub figures: Vec<FigureView>,
    /// What is in a row.
    pub columns: Vec<String>,
    /// A row for each target that was looked at.
    pub rows: Vec<TradeoffRow>,
}

/// A target's measures.
pub struct TradeoffRow {
    /// The class of its colour.
    pub ink: String,
    /// Its name.
    pub name: String,
    /// In the order of the columns; nothing where it wasn't measured.
    pub cells: Vec<Option<String>>,
}

impl TradeoffRow {
    /// Its cells with the names of their columns.
    pub fn named<'v>(
        &'v self,
        columns: &'v [String],
    ) -> impl Iterator<Item = (&'v String, &'v Option<String>)> {
        columns.iter().zip(&self.cells)
    }
}

impl TradeoffView {
    /// Puts it into words and pictures; nothing if the run hasn't looked.
    pub fn of(summary: &Summary<'_>, words: &Words) -> Result<Option<Self>, ChartError> {
        let Some(looks) = Looks::of(summary) else {
            return Ok(None);
        };
        let own = [
            "tradeoff.reach",
            "tradeoff.inside",
            "tradeoff.refused",
            "tradeoff.kernel",
            "tradeoff.exits",
        ];
        let costs = costs(looks).map(|(column, _)| column.metric.title.clone());
        let columns = own.iter().map(|name| words.text(name).to_owned());
        Ok(Some(Self {
            figures: figures(summary, words)?,
            columns: columns.chain(costs).collect(),
            rows: looks
                .targets()
                .map(|target| row(summary, looks, target, words))
                .collect(),
        }))
    }
}

/// The plots of a run; none if it hasn't looked, or has no cost.
pub fn figures(summary: &Summary<'_>, words: &Words) -> Result<Vec<FigureView>, ChartError> {
    let Some(looks) = Looks::of(summary) else {
        return Ok(Vec::new());
    };
    let mut figures = Vec::new();
    for (column, title) in costs(looks) {
        let dot = |target: &Target| {
            let cost = column.figure_of(&target.name)?.median;
            let calls = looks.reach(&target.name)?.calls.median;
            // The axes are logarithmic.
            (cost > 0.0 && calls > 0.0).then(|| Dot {
                name: target.name.clone(),
                ink: theme::ink_of(summary.run, target),
                calls,
                cost,
            })
        };
        let dots: Vec<Dot> = looks.targets().filter_map(dot).collect();
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

fn costs<'s, 'a>(looks: Looks<'s, 'a>) -> impl Iterator<Item = (&'s Column<'a>, &'static str)> {
    COSTS.into_iter().filter_map(move |(experiment, title)| {
        let column = looks.leading(experiment)?;
        column.has_figures().then_some((column, title))
    })
}

fn row(summary: &Summary<'_>, looks: Looks<'_, '_>, target: &Target, words: &Words) -> TradeoffRow {
    let name = target.name.as_str();
    let count = |value| units::value(Unit::Count, value);
    let plain = |metric| Some(count(looks.figure(metric, name)?.median));
    let reach = looks.reach(name).map(|reach| {
        let calls = count(reach.calls.median);
        if reach.from_inside {
            words.say_one("tradeoff.from-inside", "calls", calls)
        } else {
            calls
        }
    });
    let kernel = looks.is_on_host_kernel(name).map(|is_host_s| {
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
        exits(looks, name, words),
    ];
    let costs = costs(looks).map(|(column, _)| {
        let figure = column.figure_of(name)?;
        Some(units::value(column.metric.unit, figure.median))
    });
    TradeoffRow {
        ink: theme::ink_of(summary.run, target).name(),
        name: target.name.clone(),
        cells: own.into_iter().chain(costs).collect(),
    }
}

/// The exits of a virtual machine, by reason; a program on the host's kernel is in none.
fn exits(looks: Looks<'_, '_>, target: &str, words: &Words) -> Option<String> {
    if looks.is_on_host_kernel(target) == Some(true) {
        return Some(words.text("tradeoff.no-machine").to_owned());
    }
    let parts = looks.figure(EXITS, target)?.parts.iter();
    let parts: Vec<String> = parts
        .map(|part| format!("{} {}", units::value(Unit::Count, part.median), part.name))
        .collect();
    Some(words.list(&parts))
}
