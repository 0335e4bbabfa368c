//! What a whole is made of: the phases of a start, the components of a sum.
//!
//! Medians don't add up: the median start is not made of the median of each phase. A bar must add up, though.
//! So a bar is as long as the median of the wholes and divided as the *typical* samples were: the middle half
//! of them by size, averaged. Each part's own median is kept beside it. What the parts leave of the whole is
//! a part of its own, [`OTHER`], never silently dropped.

use crate::model::{Metric, Sample, Status, TOTAL};
use crate::statistics::median;

/// The name of what the measured parts leave of the whole.
pub const OTHER: &str = "other";

/// Below this share of the whole, what is left is the rounding of clocks and of pages.
const NEGLIGIBLE: f64 = 0.005;

/// One part of a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct PartFigure<'a> {
    /// Name of the part.
    pub name: &'a str,
    /// The sentence that explains it; empty if the run has none.
    pub explanation: &'a str,
    /// The median over all good samples; the same as `typical` for [`OTHER`].
    pub median: f64,
    /// Its piece of the bar; all pieces sum to the median of the whole. Negative where something is subtracted.
    pub typical: f64,
}

/// One good sample of a whole, with its parts.
struct Whole<'a> {
    total: f64,
    parts: Vec<(&'a str, f64)>,
}

/// Divides the median `whole` of a target's samples into parts, in the order in which its own launcher reports them.
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
    // The middle half averages to nearly its median; a whole at or below zero has no meaningful scale.
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
        let explanation = "what the parts leave of the whole, or count twice if it is negative";
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
    /// The sum of what a part took; a phase may come more than once.
    fn part(&self, name: &str) -> Option<f64> {
        let values = self
            .parts
            .iter()
            .filter(|(part, _)| *part == name)
            .map(|(_, value)| value);
        values.copied().reduce(|sum, value| sum + value)
    }
}

/// Brings together the rows that share a sequence number; rows of one instance stand beside each other.
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
