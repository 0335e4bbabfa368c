//! A price list in words and as a picture.

use super::figure::FigureView;
use crate::chart::{ChartError, prices};
use crate::figures::prices::{Kind, Price, PriceList};
use crate::model::{Run, Unit};
use crate::statistics::Estimate;
use crate::words::Words;
use crate::words::units;

/// A price list.
pub struct PricesView {
    /// The target.
    pub target: String,
    /// The metrics.
    pub columns: Vec<String>,
    /// Its rows.
    pub rows: Vec<PriceView>,
    /// How to read it.
    pub caption: String,
}

/// One row.
pub struct PriceView {
    /// What is priced.
    pub name: String,
    /// What that is.
    pub explanation: String,
    /// What the price counts over; empty for a row that is no price.
    pub over: String,
    /// Whether it is a whole, not a difference.
    pub whole: bool,
    /// Its value in each metric.
    pub cells: Vec<PriceCell>,
}

/// A price, or that there is none.
pub struct PriceCell {
    /// The metric.
    pub column: String,
    /// The price and its interval.
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
        over: row.over.unwrap_or_default().to_owned(),
        whole: matches!(row.kind, Kind::Start | Kind::Whole),
        cells: list.metrics.iter().zip(&row.costs).map(cell).collect(),
    }
}

fn value(unit: Unit, kind: Kind, cost: Estimate) -> (String, String) {
    let is_price = matches!(kind, Kind::Price | Kind::Interaction);
    let sign = if is_price && cost.value > 0.0 {
        "+"
    } else {
        ""
    };
    // The ends of an interval around nothing are far larger than the price.
    let interval = cost.interval.map(|interval| {
        let widest = interval.low.abs().max(interval.high.abs());
        units::interval(unit, interval, widest)
    });
    let value = units::value(unit, cost.value);
    (format!("{sign}{value}"), interval.unwrap_or_default())
}

/// Draws lists.
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
