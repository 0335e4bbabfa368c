//! A chart of the report with the words around it.

use crate::chart::{Chart, theme};
use crate::figures::summary::{Column, Summary};
use crate::model::Target;
use crate::words::{Words, units};

/// A chart with the words around it.
pub struct FigureView {
    /// What it shows.
    pub title: String,
    /// The drawing.
    pub chart: Chart,
    /// The same on a logarithmic axis, for the reader to switch to.
    pub logarithmic: Option<Chart>,
    /// How to read it.
    pub caption: String,
    /// Its parts; empty if it has none.
    pub legend: Vec<LegendItem>,
}

/// One part of a stacked chart.
pub struct LegendItem {
    /// The class of its colour.
    pub ink: String,
    /// Its name.
    pub name: String,
    /// What happens in it.
    pub explanation: String,
    /// Its median in each target.
    pub medians: Vec<(String, String)>,
}

/// Each target with its median at each number of instances.
pub fn by_number(summary: &Summary<'_>, columns: &[&Column<'_>], words: &Words) -> Vec<LegendItem> {
    let item = |(index, target): (usize, &Target)| {
        let medians = columns.iter().filter_map(|column| {
            let figure = column.cells[index].figure()?;
            let at_once = column.metric.at_once?;
            Some((
                words.say("crowd.at", &[("count", &at_once)]),
                units::value(column.metric.unit, figure.median),
            ))
        });
        let medians: Vec<_> = medians.collect();
        let item = LegendItem {
            ink: theme::ink_of(summary.run, target).name(),
            name: target.name.clone(),
            explanation: String::new(),
            medians,
        };
        (!item.medians.is_empty()).then_some(item)
    };
    let targets = summary.run.targets.iter().enumerate();
    targets.filter_map(item).collect()
}
