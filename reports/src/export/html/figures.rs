//! The charts of an experiment, with their captions and legends.

use super::ReportError;
use super::figure::{FigureView, LegendItem, by_number};
use super::table::title;
use crate::chart::{self, ChartError, bars, curves, distribution, phases, theme};
use crate::figures::parts::OTHER;
use crate::figures::prices;
use crate::figures::summary::{Column, Section, Summary};
use crate::figures::tails;
use crate::model::{Better, Unit};
use crate::schema::{explain, image, time};
use crate::words::Words;
use crate::words::units;

/// The name of the group of plots that are about several experiments.
const TRADEOFF: &str = "trade-off";

const UNITS: [Unit; 5] = [
    Unit::Count,
    Unit::BytesPerSecond,
    Unit::OperationsPerSecond,
    Unit::Nanoseconds,
    Unit::Bytes,
];

/// Draws an experiment: metrics with parts as stacked bars, times with parts as samples too, and
/// all other metrics as bars by unit.
pub fn draw(
    summary: &Summary<'_>,
    section: &Section<'_>,
    words: &Words,
) -> Result<Vec<FigureView>, ChartError> {
    let lists = prices::lists(summary.run, section.experiment);
    if !lists.is_empty() {
        return super::prices::figures(summary.run, &lists, words);
    }
    let all = || section.columns.iter().filter(|column| column.has_figures());
    let measured = || all().filter(|column| column.metric.at_once.is_none());
    let mut figures = Vec::new();
    if explain::is_explanation(&section.experiment.name) {
        return Ok(figures);
    }
    // Times come first; the rates are the same figures the other way around.
    for unit in UNITS.into_iter().rev() {
        let crowds = all().filter(|column| column.metric.at_once.is_some());
        let crowds: Vec<_> = crowds.filter(|column| column.metric.unit == unit).collect();
        let is_image = section.experiment.name == image::NAME;
        match unit {
            Unit::Bytes if is_image => {
                figures.extend(super::image::figures(summary, &crowds, words)?);
            }
            Unit::Bytes => {
                figures.extend(super::density::figure(summary, section, &crowds, words)?);
            }
            _ => figures.extend(crowded(summary, &crowds, words)?),
        }
    }
    for column in measured().filter(|column| column.has_parts()) {
        if !is_waterfall(section, column) {
            figures.push(stacked(column, words)?);
        }
        if column.metric.unit == Unit::Nanoseconds {
            figures.extend(samples(summary, column, words)?);
        }
    }
    // A command's samples are worth a look even where no launcher reports phases.
    let is_time = time::is_time(&section.experiment.name);
    let whole = measured().filter(|column| !column.has_parts() && tails::has_tails(column.metric));
    for column in whole.filter(|_| is_time) {
        figures.extend(samples(summary, column, words)?);
    }
    for unit in UNITS {
        let columns: Vec<_> = measured()
            .filter(|column| !column.has_parts() && column.metric.unit == unit)
            .collect();
        for group in comparable(&columns) {
            figures.push(grouped(summary, &group, words)?);
        }
    }
    figures.extend(super::latency::figures(summary.run, section, words)?);
    figures.extend(super::tails::figure(summary, section, words)?);
    Ok(figures)
}

/// Whether a column is the leading column of its experiment and has parts. Such a column stands
/// above all experiments.
fn is_waterfall(section: &Section<'_>, column: &Column<'_>) -> bool {
    let leading = section.leading();
    leading.is_some_and(|leading| leading.metric.name == column.metric.name && leading.has_parts())
}

/// The leading column of each experiment, if it has parts, as stacked bars.
pub fn waterfalls(summary: &Summary<'_>, words: &Words) -> Result<Vec<FigureView>, ChartError> {
    let sections = summary.sections.iter();
    let drawn = sections.filter_map(|section| waterfall(section, words).transpose());
    drawn.collect()
}

/// The leading column of an experiment as stacked bars, if it has parts. All timed commands have
/// the same metrics, so the title of such bars has the command's name too.
fn waterfall(section: &Section<'_>, words: &Words) -> Result<Option<FigureView>, ChartError> {
    // The counts of an explanation are many and small: a table has them.
    let is_counted = explain::is_explanation(&section.experiment.name);
    let leading = section
        .leading()
        .filter(|column| column.has_parts() && !is_counted);
    let Some(mut figure) = leading.map(|column| stacked(column, words)).transpose()? else {
        return Ok(None);
    };
    if time::is_time(&section.experiment.name) {
        let name = title(&section.experiment.name, words);
        figure.title = format!("{name}: {}", figure.title);
    }
    Ok(Some(figure))
}

/// Every chart of a report with the name of its experiment.
pub fn all(summary: &Summary<'_>, words: &Words) -> Result<Vec<(String, FigureView)>, ReportError> {
    let mut all = Vec::new();
    let tradeoff = super::tradeoff::figures(summary, words);
    let tradeoff = tradeoff.map_err(|source| ReportError::Chart {
        experiment: TRADEOFF.to_owned(),
        source,
    })?;
    all.extend(
        tradeoff
            .into_iter()
            .map(|figure| (TRADEOFF.to_owned(), figure)),
    );
    for section in &summary.sections {
        let name = &section.experiment.name;
        let failed = |source| ReportError::Chart {
            experiment: name.clone(),
            source,
        };
        let waterfall = waterfall(section, words).map_err(failed)?;
        let figures = draw(summary, section, words).map_err(failed)?;
        all.extend(
            waterfall
                .into_iter()
                .chain(figures)
                .map(|figure| (name.clone(), figure)),
        );
    }
    Ok(all)
}

/// A chart of columns of one unit, each for another number of instances that start at once.
fn crowded(
    summary: &Summary<'_>,
    columns: &[&Column<'_>],
    words: &Words,
) -> Result<Option<FigureView>, ChartError> {
    let Some(chart) = curves::render(summary.run, columns, words)? else {
        return Ok(None);
    };
    Ok(Some(FigureView {
        title: match columns[0].metric.unit {
            Unit::Nanoseconds => words.text("crowd.time").to_owned(),
            _ => words.text("crowd.rate").to_owned(),
        },
        chart,
        logarithmic: None,
        caption: words.text("crowd.caption").to_owned(),
        legend: by_number(summary, columns, words),
    }))
}

pub fn stacked(column: &Column<'_>, words: &Words) -> Result<FigureView, ChartError> {
    let mut caption = words.text("parts.caption").to_owned();
    if column
        .cells
        .iter()
        .filter_map(|cell| cell.figure())
        .any(|figure| figure.parts.is_empty())
    {
        caption += words.text("parts.none");
    }
    Ok(FigureView {
        title: words.say("parts.title", &[("metric", &column.metric.title)]),
        chart: phases::render(column, words)?,
        logarithmic: phases::render_logarithmic(column, words)?,
        caption: caption + broken(&[column], words),
        legend: legend(column),
    })
}

fn samples(
    summary: &Summary<'_>,
    column: &Column<'_>,
    words: &Words,
) -> Result<Option<FigureView>, ChartError> {
    let most = column
        .cells
        .iter()
        .filter_map(|cell| cell.figure())
        .map(|figure| figure.count)
        .max()
        .unwrap_or_default();
    let which = if most > distribution::DOTS {
        words.say_one("samples.some", "count", distribution::DOTS)
    } else {
        words.text("samples.every").to_owned()
    };
    let caption = words.say("samples.caption", &[("which", &which)]);
    let chart = distribution::render(summary.run, column, words)?;
    let title = words.say("samples.title", &[("metric", &column.metric.title)]);
    Ok(chart.map(|chart| FigureView {
        title,
        chart,
        logarithmic: None,
        caption,
        legend: Vec::new(),
    }))
}

/// Groups of metrics that share an axis. On the axis of a metric five times as long, bars would be
/// too short to compare targets.
fn comparable<'a, 'b>(columns: &[&'b Column<'a>]) -> Vec<Vec<&'b Column<'a>>> {
    const SPAN: f64 = 5.0;
    let mut groups: Vec<Vec<&Column<'_>>> = Vec::new();
    for column in columns {
        let longest = chart::longest(column);
        let fits = |other: &&Column<'_>| {
            let other = chart::longest(other);
            longest <= other * SPAN && other <= longest * SPAN
        };
        match groups.iter_mut().find(|group| group.iter().all(fits)) {
            Some(group) => group.push(column),
            None => groups.push(vec![column]),
        }
    }
    groups
}

fn grouped(
    summary: &Summary<'_>,
    columns: &[&Column<'_>],
    words: &Words,
) -> Result<FigureView, ChartError> {
    let title = words.text(heading(columns[0].metric.unit));
    let is = |better| columns.iter().all(|column| column.metric.better == better);
    let direction = match (is(Better::Higher), is(Better::Lower)) {
        (true, _) => words.text("bars.longer"),
        (_, true) => words.text("bars.shorter"),
        _ => "",
    };
    let caption = format!(
        "{}{direction}{}",
        words.text("bars.caption"),
        broken(columns, words)
    );
    let chart = bars::render(summary.run, columns, words)?;
    Ok(FigureView {
        title: title.to_owned(),
        chart,
        logarithmic: None,
        caption,
        legend: Vec::new(),
    })
}

fn heading(unit: Unit) -> &'static str {
    match unit {
        Unit::BytesPerSecond => "bars.throughput",
        Unit::OperationsPerSecond => "bars.operations",
        Unit::Count => "bars.counts",
        Unit::Nanoseconds => "bars.times",
        Unit::Bytes => "bars.sizes",
    }
}

fn broken<'w>(columns: &[&Column<'_>], words: &'w Words) -> &'w str {
    if chart::has_broken_bars(columns) {
        words.text("bars.broken")
    } else {
        ""
    }
}

fn legend(column: &Column<'_>) -> Vec<LegendItem> {
    let figures = || {
        column
            .cells
            .iter()
            .filter_map(|cell| Some((cell, cell.figure()?)))
    };
    let item = |(place, name): (usize, &str)| {
        let parts = figures().filter_map(|(cell, figure)| {
            let part = figure.parts.iter().find(|part| part.name == name)?;
            Some((cell.target.name.clone(), part))
        });
        let explanation = parts
            .clone()
            .map(|(_, part)| part.explanation)
            .find(|text| !text.is_empty());
        LegendItem {
            ink: theme::Ink::of_part(place).name(),
            name: name.to_owned(),
            explanation: explanation.unwrap_or_default().to_owned(),
            medians: parts
                .map(|(target, part)| (target, units::value(column.metric.unit, part.median)))
                .collect(),
        }
    };
    let (other, named): (Vec<_>, Vec<_>) = phases::part_names(column)
        .into_iter()
        .enumerate()
        .partition(|(_, name)| *name == OTHER);
    named.into_iter().chain(other).map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::model::Run;

    #[test]
    fn metrics_of_very_different_size_don_t_share_an_axis() {
        let mut run = fixture::run();
        let groups = |run: &Run| {
            let summary = Summary::of(run);
            comparable(&summary.sections[2].columns[..2].iter().collect::<Vec<_>>()).len()
        };
        assert_eq!(groups(&run), 1);
        for sample in run
            .samples
            .iter_mut()
            .filter(|sample| sample.metric == "seq-write-direct")
        {
            sample.value = sample.value.map(|value| value / 10.0);
        }
        assert_eq!(groups(&run), 2);
    }

    #[test]
    fn every_part_is_in_the_legend_with_its_targets() {
        let run = fixture::run();
        let summary = Summary::of(&run);
        let legend = legend(&summary.sections[0].columns[0]);
        let clone = legend.iter().find(|item| item.name == "clone").unwrap();
        assert_eq!(clone.explanation, "one clone3 with seven namespaces");
        let targets: Vec<_> = clone
            .medians
            .iter()
            .map(|(target, _)| target.as_str())
            .collect();
        assert_eq!(targets, ["container", "namespaces"]);
    }
}
