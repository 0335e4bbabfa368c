//! A chart of the report with the words around the chart.

use crate::chart::{Chart, theme};
use crate::figures::summary::{Column, Summary};
use crate::model::Target;
use crate::words::{Words, units};

/// A chart with the words around the chart.
pub struct FigureView {
    /// The title of the chart.
    pub title: String,
    /// The drawing.
    pub chart: Chart,
    /// The chart on a logarithmic axis, if the reader can switch to one.
    pub logarithmic: Option<Chart>,
    /// How to read the chart.
    pub caption: String,
    /// The explanations below the chart; empty if there are none.
    pub legend: Vec<LegendItem>,
}

/// One part of a chart, or one target, with its medians.
pub struct LegendItem {
    /// The class of the item's colour.
    pub ink: String,
    /// The name of the part or of the target.
    pub name: String,
    /// What happens in the part; empty for a target.
    pub explanation: String,
    /// The medians, each with what it is of.
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
