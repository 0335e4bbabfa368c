//! The parts of a whole: the phases of a start, the components of a sum.
//!
//! Medians don't add up: the median start doesn't consist of the median of each phase. A bar must
//! add up, though. So a bar is as long as the median of the wholes, and is divided as the *typical*
//! samples are on average, which are the middle half of the samples by size. The median of each
//! part is kept beside the bar. What the parts leave of the whole is a part too, [`OTHER`].

use crate::model::{Metric, Sample, Status, TOTAL};
use crate::statistics::median;

/// The name of the part that the measured parts leave of the whole.
pub const OTHER: &str = "other";

/// A rest below this share of the whole comes from rounding, of clocks and of pages.
const NEGLIGIBLE: f64 = 0.005;

/// One part of a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct PartFigure<'a> {
    /// The part's name.
    pub name: &'a str,
    /// The sentence that explains the part; empty if the run has none.
    pub explanation: &'a str,
    /// The median over all good samples; for [`OTHER`] the same as `typical`.
    pub median: f64,
    /// The length of the part's piece of the bar. All pieces add up to the median of the whole. A
    /// piece is negative if something is subtracted.
    pub typical: f64,
}

/// One good sample of a whole, with its parts.
struct Whole<'a> {
    total: f64,
    parts: Vec<(&'a str, f64)>,
}

/// Divides the median `whole` of a target's samples into parts, in the order in which the target's
/// launcher reports them.
pub fn divide<'a>(metric: &'a Metric, samples: &[&'a Sample], whole: f64) -> Vec<PartFigure<'a>> {
    let mut wholes = wholes(samples);
    let names = names(&wholes);
    if names.is_empty() {
        return Vec::new();
    }
    wholes.sort_by(|left, right| left.total.total_cmp(&right.total));
    let quarter = wholes.len() / 4;
    let typical = &wholes[quarter..wholes.len() - quarter];
    let typical_total = mean(typical.iter().map(|whole| whole.total));
    // The average of the middle half is close to the median. A whole at or below zero can't be
    // scaled.
    let scale = if typical_total > 0.0 && whole > 0.0 {
        whole / typical_total
    } else {
        1.0
    };
    let mut parts: Vec<_> = names
        .into_iter()
        .map(|name| PartFigure {
            name,
            explanation: explanation(metric, name),
            median: median(
                &mut wholes
                    .iter()
                    .filter_map(|whole| whole.part(name))
                    .collect::<Vec<_>>(),
            )
            .unwrap_or_default(),
            typical: scale
                * mean(
                    typical
                        .iter()
                        .map(|whole| whole.part(name).unwrap_or_default()),
                ),
        })
        .collect();
    let left = whole - parts.iter().map(|part| part.typical).sum::<f64>();
    if left.abs() > NEGLIGIBLE * whole.abs() {
        let explanation = "the rest of the whole; below zero where parts overlap";
        parts.push(PartFigure {
            name: OTHER,
            explanation,
            median: left,
            typical: left,
        });
    }
    parts
}

impl Whole<'_> {
    /// The sum of a part's values; a phase may occur more than once.
    fn part(&self, name: &str) -> Option<f64> {
        let values = self
            .parts
            .iter()
            .filter(|(part, _)| *part == name)
            .map(|(_, value)| value);
        values.copied().reduce(|sum, value| sum + value)
    }
}

/// Brings together the samples of each instance, which share a sequence number.
fn wholes<'a>(samples: &[&'a Sample]) -> Vec<Whole<'a>> {
    let mut good: Vec<_> = samples
        .iter()
        .filter(|sample| sample.status == Status::Ok)
        .collect();
    good.sort_by_key(|sample| sample.sequence);
    let of_one = good.chunk_by(|left, right| left.sequence == right.sequence);
    let whole = |rows: &[&&'a Sample]| {
        let total = rows.iter().find(|row| row.part == TOTAL)?.value?;
        let parts = rows.iter().filter(|row| row.part != TOTAL);
        Some(Whole {
            total,
            parts: parts
                .filter_map(|row| Some((row.part.as_str(), row.value?)))
                .collect(),
        })
    };
    of_one.filter_map(whole).collect()
}

fn names<'a>(wholes: &[Whole<'a>]) -> Vec<&'a str> {
    let mut names = Vec::new();
    for (name, _) in wholes.iter().flat_map(|whole| &whole.parts) {
        if !names.contains(name) {
            names.push(*name);
        }
    }
    names
}

fn explanation<'a>(metric: &'a Metric, name: &str) -> &'a str {
    metric
        .parts
        .iter()
        .find(|part| part.name == name)
        .map_or("", |part| &part.explanation)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    if count == 0 {
        0.0
    } else {
        sum / f64::from(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::summary::Summary;
    use crate::fixture;

    #[test]
    fn pieces_sum_to_the_median_and_keep_the_launchers_order() {
        let run = fixture::run();
        let summary = Summary::of(&run);
        for cell in summary
            .sections
            .iter()
            .flat_map(|section| &section.columns)
            .flat_map(|column| &column.cells)
        {
            let Some(figure) = cell.figure().filter(|figure| !figure.parts.is_empty()) else {
                continue;
            };
            let sum: f64 = figure.parts.iter().map(|part| part.typical).sum();
            assert!(
                (sum - figure.median).abs() <= 0.006 * figure.median,
                "{}: {sum} of {}",
                cell.target.name,
                figure.median
            );
        }
        let container = summary.sections[0].columns[0]
            .figure_of("container")
            .unwrap();
        let names: Vec<_> = container.parts.iter().map(|part| part.name).collect();
        assert_eq!(
            names,
            [
                "start", "clone", "mounts", "pivot", "seccomp", "exec", "workload"
            ]
        );
        assert_eq!(
            container.parts[1].explanation,
            "one clone3 with seven namespaces"
        );
    }

    #[test]
    fn what_the_parts_leave_is_named() {
        let run = fixture::run();
        let metric = &run.experiments[0].metrics[0];
        let row = |part: &str, value| Sample {
            part: part.to_owned(),
            value: Some(value),
            ..run
                .samples
                .iter()
                .find(|sample| sample.status == Status::Ok)
                .unwrap()
                .clone()
        };
        let rows = [row(TOTAL, 100.0), row("clone", 60.0), row("clone", 10.0)];
        let parts = divide(metric, &rows.iter().collect::<Vec<_>>(), 100.0);
        assert_eq!(
            parts
                .iter()
                .map(|part| (part.name, part.typical))
                .collect::<Vec<_>>(),
            [("clone", 70.0), (OTHER, 30.0)]
        );
    }
}
