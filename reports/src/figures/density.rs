//! How many instances would fit into a host, by the lines through their memory.
//!
//! Each round's line gives one sample: its slope is the metric [`PER_INSTANCE`], and its value at
//! zero is [`SHARED`]. So both have medians and intervals as every figure has. Here they are
//! divided into the memory of the host.

use bytesize::ByteSize;

use crate::figures::summary::{Column, Section, Summary};
use crate::model::{Host, Target, Unit};
use crate::schema::MetricSchema;
use crate::schema::density::{PER_INSTANCE, SHARED};
use crate::statistics::{Estimate, Line};

/// The key of the fact that says how much memory a host has.
const MEMORY: &str = "memory";

/// How many instances of one target would fit into the host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Density<'a> {
    /// The target.
    pub target: &'a Target,
    /// The memory of one more instance, in bytes.
    pub per_instance: Estimate,
    /// The memory that all instances share, in bytes.
    pub shared: f64,
    /// The number of instances for which the host has memory, if its memory is known.
    pub fit: Option<Fit>,
}

/// A number of instances, if nothing but memory limits it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// The number at the median of the memory of one more instance.
    pub count: f64,
    /// The numbers at the ends of the interval of that memory, the smaller number first.
    pub between: Option<(f64, f64)>,
}

impl Density<'_> {
    /// The line through the numbers of instances and their memory.
    pub fn line(&self) -> Line {
        Line {
            slope: self.per_instance.value,
            intercept: self.shared,
        }
    }
}

/// The memory of a host, as its facts say.
pub fn memory(host: &Host) -> Option<ByteSize> {
    let fact = host.facts.iter().find(|fact| fact.key == MEMORY)?;
    fact.value.parse().ok()
}

/// The densities of a section, one for each target that has both figures; none if the section isn't
/// about density.
pub fn densities<'a>(summary: &Summary<'a>, section: &Section<'a>) -> Vec<Density<'a>> {
    let column = |metric: MetricSchema| {
        let mut columns = section.columns.iter();
        columns
            .find(|column| column.metric.name == metric.name && column.metric.unit == Unit::Bytes)
    };
    let (Some(slopes), Some(shared)) = (column(PER_INSTANCE), column(SHARED)) else {
        return Vec::new();
    };
    let memory = memory(&summary.run.host);
    let of = |target: &'a Target| density(target, slopes, shared, memory);
    summary.run.targets.iter().filter_map(of).collect()
}

fn density<'a>(
    target: &'a Target,
    slopes: &Column<'_>,
    shared: &Column<'_>,
    memory: Option<ByteSize>,
) -> Option<Density<'a>> {
    let figure = slopes.figure_of(&target.name)?;
    let shared = shared.figure_of(&target.name)?.median;
    let per_instance = Estimate {
        value: figure.median,
        interval: figure.interval,
    };
    let left = memory.map(|memory| memory.as_u64() as f64 - shared);
    let count = |price: f64| {
        left.filter(|_| price > 0.0)
            .map(|left| (left / price).floor().max(0.0))
    };
    let between = figure
        .interval
        .and_then(|interval| Some((count(interval.high)?, count(interval.low)?)));
    let fit = count(figure.median).map(|count| Fit { count, between });
    Some(Density {
        target,
        per_instance,
        shared,
        fit,
    })
}

impl Fit {
    /// The number to two digits. The figures behind it are no more precise, and instances need more
    /// than memory.
    pub fn about(self) -> String {
        about(self.count)
    }
}

fn about(count: f64) -> String {
    let step = 10_f64.powf((count.max(1.0).log10().floor() - 1.0).max(0.0));
    let text = format!("{:.0}", (count / step).round() * step);
    let mut grouped = String::new();
    for (place, digit) in text.chars().enumerate() {
        if place > 0 && (text.len() - place).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// One sentence: how many of each target would fit.
pub fn note(summary: &Summary<'_>, section: &Section<'_>) -> Option<String> {
    let memory = memory(&summary.run.host)?;
    let densities = densities(summary, section);
    let fits = densities.iter().filter_map(|density| {
        let fit = density.fit?.about();
        Some(format!("{} {fit}", density.target.name))
    });
    let fits: Vec<String> = fits.collect();
    (!fits.is_empty()).then(|| {
        let memory = memory.display().iec();
        format!(
            "into {memory}, if nothing but memory limits them: {}",
            fits.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::model::Fact;

    fn run() -> crate::model::Run {
        let mut run = fixture::run();
        fixture::add_density(&mut run);
        run.host.facts.retain(|fact| fact.key != MEMORY);
        run.host.facts.push(Fact {
            key: MEMORY.to_owned(),
            label: "Memory".to_owned(),
            value: "23.5 GiB".to_owned(),
            concern: None,
        });
        run
    }

    #[test]
    fn what_fits_is_the_memory_over_the_price_of_one() {
        let run = run();
        let summary = Summary::of(&run);
        let found = densities(&summary, summary.sections.last().unwrap());
        let names: Vec<_> = found
            .iter()
            .map(|density| density.target.name.as_str())
            .collect();
        assert_eq!(names, ["process", "container"]);
        for density in &found {
            let fit = density.fit.unwrap();
            let memory = 23.5 * f64::from(1 << 30);
            let expected = (memory - density.shared) / density.per_instance.value;
            assert!((fit.count - expected).abs() <= 1.0, "{density:?}");
            let (fewer, more) = fit.between.unwrap();
            assert!(fewer <= fit.count && fit.count <= more, "{density:?}");
            let line = density.line();
            assert_eq!(
                (line.slope, line.intercept),
                (density.per_instance.value, density.shared)
            );
        }
        let note = note(&summary, summary.sections.last().unwrap()).unwrap();
        assert!(
            note.starts_with("into 23.5 GiB, if nothing but memory limits them: process 1"),
            "{note}"
        );
    }

    #[test]
    fn a_host_of_unknown_memory_and_other_experiments_say_nothing() {
        let mut run = run();
        run.host.facts.clear();
        let summary = Summary::of(&run);
        let section = summary.sections.last().unwrap();
        assert!(
            densities(&summary, section)
                .iter()
                .all(|density| density.fit.is_none())
        );
        assert_eq!(note(&summary, section), None);
        assert_eq!(note(&summary, &summary.sections[0]), None);
    }

    #[test]
    fn a_price_of_nothing_has_no_number() {
        let mut run = run();
        for sample in &mut run.samples {
            if sample.metric == PER_INSTANCE.name {
                sample.value = Some(0.0);
            }
        }
        let summary = Summary::of(&run);
        let found = densities(&summary, summary.sections.last().unwrap());
        assert!(found.iter().all(|density| density.fit.is_none()));
    }

    #[test]
    fn numbers_are_round() {
        for (count, text) in [
            (0.0, "0"),
            (7.0, "7"),
            (84.0, "84"),
            (1234.0, "1 200"),
            (115_499.0, "120 000"),
            (1e6, "1 000 000"),
        ] {
            assert_eq!(about(count), text);
        }
    }
}
