//! Memory against the number of instances: points, the lines through them, and how many instances
//! would fit into the host.

use super::figure::{FigureView, LegendItem};
use crate::chart::{ChartError, curves, theme};
use crate::figures::density::{self, Density, densities};
use crate::figures::summary::{Column, Section, Summary};
use crate::model::Unit;
use crate::statistics::Line;
use crate::words::Words;
use crate::words::units;

/// Draws the `columns` of `section`, each for another number of instances; nothing if the section
/// isn't about density.
pub fn figure(
    summary: &Summary<'_>,
    section: &Section<'_>,
    columns: &[&Column<'_>],
    words: &Words,
) -> Result<Option<FigureView>, ChartError> {
    let found = densities(summary, section);
    let line = |name: &str| -> Option<Line> {
        let density = found.iter().find(|density| density.target.name == name)?;
        Some(density.line())
    };
    let Some(chart) = curves::render_lines(summary.run, columns, &line, words)? else {
        return Ok(None);
    };
    let memory = density::memory(&summary.run.host);
    let into = memory.map(|memory| words.say_one("density.into", "memory", memory.display().iec()));
    let caption = words.text("density.caption").to_owned() + &into.unwrap_or_default();
    let items = found.iter().map(|density| item(summary, density, words));
    Ok(Some(FigureView {
        title: words.text("density.title").to_owned(),
        chart,
        logarithmic: None,
        caption,
        legend: items.collect(),
    }))
}

fn item(summary: &Summary<'_>, density: &Density<'_>, words: &Words) -> LegendItem {
    let price = density.per_instance;
    let value = units::value(Unit::Bytes, price.value);
    let more = match price.interval {
        Some(interval) => {
            let interval = units::interval(Unit::Bytes, interval, price.value);
            format!("{value} ({interval})")
        }
        None => value,
    };
    let mut medians = vec![
        (words.text("density.more").to_owned(), more),
        (
            words.text("density.shared").to_owned(),
            units::value(Unit::Bytes, density.shared),
        ),
    ];
    let fit = density
        .fit
        .map(|fit| (words.text("density.fit").to_owned(), fit.about()));
    medians.extend(fit);
    LegendItem {
        ink: theme::ink_of(summary.run, density.target).name(),
        name: density.target.name.clone(),
        explanation: String::new(),
        medians,
    }
}
