//! A price list as a table and as a chart.

use super::figure::FigureView;
use crate::chart::{ChartError, prices};
use crate::figures::prices::{Price, PriceList, RowKind};
use crate::model::{Run, Unit};
use crate::statistics::Estimate;
use crate::words::Words;
use crate::words::units;

/// A price list.
pub struct PricesView {
    /// The name of the target.
    pub target: String,
    /// The titles of the metrics.
    pub columns: Vec<String>,
    /// The rows of the list.
    pub rows: Vec<PriceView>,
    /// How to read the list.
    pub caption: String,
}

/// One row of a price list.
pub struct PriceView {
    /// The name of the part.
    pub name: String,
    /// What the part is, in a sentence.
    pub explanation: String,
    /// The part that the price is added to; empty for a row that is no price.
    pub over: String,
    /// Whether the row is a whole instead of a difference.
    pub whole: bool,
    /// The cost in each metric.
    pub cells: Vec<PriceCell>,
}

/// A cost in one metric, or none.
pub struct PriceCell {
    /// The title of the metric.
    pub column: String,
    /// The cost and its interval.
    pub value: Option<(String, String)>,
}

impl PricesView {
    /// Puts a list into words.
    pub fn of(list: &PriceList<'_>, words: &Words) -> Self {
        let columns = list.metrics.iter().map(|metric| metric.title.clone());
        Self {
            target: list.target.name.clone(),
            columns: columns.collect(),
            rows: list.rows.iter().map(|row| view(list, row)).collect(),
            caption: words.say("prices.caption", &[("count", &list.count)]),
        }
    }
}

fn view(list: &PriceList<'_>, row: &Price<'_>) -> PriceView {
    let cell = |(metric, cost): (&&crate::model::Metric, &Option<Estimate>)| PriceCell {
        column: metric.title.clone(),
        value: cost.map(|cost| value(metric.unit, row.kind, cost)),
    };
    PriceView {
        name: row.name.to_owned(),
        explanation: row.explanation.to_owned(),
        over: row.base.unwrap_or_default().to_owned(),
        whole: !row.kind.is_difference(),
        cells: list.metrics.iter().zip(&row.costs).map(cell).collect(),
    }
}

fn value(unit: Unit, kind: RowKind, cost: Estimate) -> (String, String) {
    let sign = if kind.is_difference() && cost.value > 0.0 {
        "+"
    } else {
        ""
    };
    // The ends of an interval around zero are far larger than the price between them.
    let interval = cost.interval.map(|interval| {
        let widest = interval.low.abs().max(interval.high.abs());
        units::interval(unit, interval, widest)
    });
    let value = units::value(unit, cost.value);
    (format!("{sign}{value}"), interval.unwrap_or_default())
}

/// A chart for each list.
pub fn figures(
    run: &Run,
    lists: &[PriceList<'_>],
    words: &Words,
) -> Result<Vec<FigureView>, ChartError> {
    lists.iter().map(|list| figure(run, list, words)).collect()
}

fn figure(run: &Run, list: &PriceList<'_>, words: &Words) -> Result<FigureView, ChartError> {
    let title = list.metrics.first().map_or("", |metric| &metric.title);
    Ok(FigureView {
        title: words.say(
            "prices.figure",
            &[("metric", &title), ("target", &list.target.name)],
        ),
        chart: prices::render(run, list, words)?,
        logarithmic: None,
        caption: words.text("prices.bars").to_owned(),
        legend: Vec::new(),
    })
}
