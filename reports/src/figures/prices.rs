//! Price lists: what each part of a whole costs by itself, and what is left of the whole.
//!
//! A metric is a price list if some of its parts name a *base*. The price of such a part is its
//! median minus the median of its base. The list begins with the part that has no base, goes on
//! with all prices, and comes to the whole. What the prices leave of the whole is a row too, so
//! that the list adds up. Below the whole stand the extras: prices of what the whole lacks, whose
//! base is the whole.

use crate::model::{Experiment, Metric, Part, Run, Sample, Status, TOTAL, Target};
use crate::statistics::{Estimate, Joint, Series};

/// The name of the row for what the prices leave of the whole.
pub const INTERACTION: &str = "interaction";

/// The name of the row to which the list adds up, the whole.
pub const WHOLE: &str = "all";

/// The prices of one target.
#[derive(Debug)]
pub struct PriceList<'a> {
    /// The target.
    pub target: &'a Target,
    /// The metrics of the list, in order; a chart shows the first.
    pub metrics: Vec<&'a Metric>,
    /// The rows of the list, from its start to the whole and to what the whole lacks.
    pub rows: Vec<Price<'a>>,
    /// The number of samples of the part that has the fewest.
    pub count: usize,
}

/// The most parts of a list. No file of isobench has more, and a longer list would take long to
/// draw.
const MOST_PARTS: usize = 64;

/// One row of a list.
#[derive(Debug)]
pub struct Price<'a> {
    /// The name of the part, or of the row.
    pub name: &'a str,
    /// What the part is, in a sentence.
    pub explanation: &'a str,
    /// The part that the price is added to; nothing for a row that is no price.
    pub base: Option<&'a str>,
    /// What kind of row this is.
    pub kind: RowKind,
    /// The cost in each metric, if it was measured.
    pub costs: Vec<Option<Estimate>>,
}

/// The kinds of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    /// The part that the list begins with.
    Start,
    /// The price of a part.
    Price,
    /// What the prices leave of the whole.
    Interaction,
    /// The whole.
    Whole,
    /// The price of a part that the whole lacks.
    Extra,
}

impl RowKind {
    /// Whether the row is a difference instead of a whole.
    pub fn is_difference(self) -> bool {
        matches!(self, Self::Price | Self::Interaction | Self::Extra)
    }
}

/// Whether `experiment` is a price list, as its first metric says.
pub fn is_price_list(experiment: &Experiment) -> bool {
    let parts = experiment.metrics.first().map(|metric| &metric.parts);
    parts.is_some_and(|parts| {
        parts.len() <= MOST_PARTS && parts.iter().any(|part| part.base.is_some())
    })
}

/// The price lists of `experiment`: one for each target that has samples of its parts.
pub fn lists<'a>(run: &'a Run, experiment: &'a Experiment) -> Vec<PriceList<'a>> {
    if !is_price_list(experiment) {
        return Vec::new();
    }
    let of_target = |target| list(run, experiment, target);
    run.targets.iter().filter_map(of_target).collect()
}

fn list<'a>(run: &'a Run, experiment: &'a Experiment, target: &'a Target) -> Option<PriceList<'a>> {
    let metrics: Vec<&Metric> = experiment.metrics.iter().collect();
    let parts = &metrics.first()?.parts;
    let of = |sample: &&Sample| {
        sample.status == Status::Ok
            && (&sample.target, &sample.experiment) == (&target.name, &experiment.name)
    };
    let samples: Vec<&Sample> = run.samples.iter().filter(of).collect();
    let columns: Vec<Vec<Cost>> = metrics
        .iter()
        .map(|metric| column(metric, parts, &samples))
        .collect();
    let counts = columns.iter().flatten().flatten().map(|(_, count)| *count);
    let count = counts.min()?;
    let mut rows: Vec<Price<'a>> = rows_over(parts);
    for (place, row) in rows.iter_mut().enumerate() {
        let cost = |column: &Vec<Cost>| Some((*column.get(place)?)?.0);
        row.costs = columns.iter().map(cost).collect();
    }
    Some(PriceList {
        target,
        metrics,
        rows,
        count,
    })
}

/// The rows of a list over `parts`, without costs yet.
fn rows_over(parts: &[Part]) -> Vec<Price<'_>> {
    let row = |name, explanation, base, kind| Price {
        name,
        explanation,
        base,
        kind,
        costs: Vec::new(),
    };
    let start = parts.iter().find(|part| part.base.is_none());
    let start = start.map(|part| row(&part.name, &part.explanation, None, RowKind::Start));
    let priced = parts.iter().filter_map(|part| {
        let (base, kind) = match part.base.as_deref()? {
            TOTAL => (WHOLE, RowKind::Extra),
            base => (base, RowKind::Price),
        };
        Some(row(&part.name, &part.explanation, Some(base), kind))
    });
    let (extras, in_sum): (Vec<_>, Vec<_>) = priced.partition(|row| row.kind == RowKind::Extra);
    let rest = row(
        INTERACTION,
        "what all of them cost together beyond the sum of their prices; below zero where they share work",
        None,
        RowKind::Interaction,
    );
    let whole = row(WHOLE, "all of them together", None, RowKind::Whole);
    start
        .into_iter()
        .chain(in_sum)
        .chain([rest, whole])
        .chain(extras)
        .collect()
}

/// A cost with the number of samples behind it; nothing if the cost wasn't measured.
type Cost = Option<(Estimate, usize)>;

/// The costs in one metric of the rows that [`rows_over`] makes of `parts`.
fn column(metric: &Metric, parts: &[Part], samples: &[&Sample]) -> Vec<Cost> {
    let series = |part: &str| {
        let of = samples
            .iter()
            .filter(|sample| sample.metric == metric.name && sample.part == part);
        Series::new(of.filter_map(|sample| Some((sample.round, sample.value?))))
    };
    let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
    let all: Vec<(&str, Series)> = names
        .into_iter()
        .chain([TOTAL])
        .map(|name| (name, series(name)))
        .filter(|(_, series)| series.count() > 0)
        .collect();
    let place = |name: &str| all.iter().position(|(known, _)| *known == name);
    let joint = Joint::of(&all.iter().map(|(_, series)| series).collect::<Vec<_>>());
    let rows = rows_over(parts);
    let start = place(rows.first().map_or("", |row| row.name));
    let mut left = start
        .zip(place(TOTAL))
        .map(|(start, whole)| vec![(whole, 1.0), (start, -1.0)]);
    let mut terms = |row: &Price<'_>| match row.kind {
        RowKind::Start => Some(vec![(start?, 1.0)]),
        RowKind::Price => {
            let (own, base) = (place(row.name)?, place(row.base?)?);
            if let Some(left) = &mut left {
                left.extend([(own, -1.0), (base, 1.0)]);
            }
            Some(vec![(own, 1.0), (base, -1.0)])
        }
        RowKind::Interaction => left.take(),
        RowKind::Whole => Some(vec![(place(TOTAL)?, 1.0)]),
        RowKind::Extra => Some(vec![(place(row.name)?, 1.0), (place(TOTAL)?, -1.0)]),
    };
    let cell = |row: &Price<'_>| {
        let terms = terms(row)?;
        let cost = match terms[..] {
            [(place, _)] => all[place].1.estimate()?,
            _ => joint.as_ref()?.sum(&terms),
        };
        let counts = terms.iter().map(|(place, _)| all[*place].1.count());
        Some((cost, counts.min().unwrap_or_default()))
    };
    rows.iter().map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn costs(list: &PriceList<'_>, name: &str) -> Vec<Option<f64>> {
        let row = list.rows.iter().find(|row| row.name == name).unwrap();
        let costs = row.costs.iter();
        costs.map(|cost| cost.map(|cost| cost.value)).collect()
    }

    /// A run whose starts cost exactly what the fixture says.
    fn exact() -> Run {
        let mut run = fixture::with_prices();
        for sample in &mut run.samples {
            if sample.experiment == fixture::PRICES {
                let drift = f64::from(sample.round);
                sample.value = Some(fixture::price_of(&sample.part) + drift);
            }
        }
        run
    }

    #[test]
    fn prices_are_differences_to_their_bases_and_the_list_adds_up() {
        let run = exact();
        let lists = lists(&run, run.experiments.last().unwrap());
        assert_eq!(lists.len(), 1);
        let list = &lists[0];
        let names: Vec<_> = list.rows.iter().map(|row| row.name).collect();
        let expected = [
            "none",
            "mount",
            "net",
            "overlay",
            "pivot",
            INTERACTION,
            WHOLE,
            "terminals",
        ];
        assert_eq!(
            (list.target.name.as_str(), list.count),
            ("container", fixture::GOOD)
        );
        assert_eq!(names, expected);
        for (name, price) in [
            ("mount", 1e5),
            ("net", 8e5),
            ("overlay", 2e5),
            ("pivot", 3e5),
            ("terminals", 1e5),
        ] {
            assert_eq!(costs(list, name), [Some(price), Some(price)], "{name}");
        }
        assert_eq!(list.rows.last().unwrap().base, Some(WHOLE));
        assert_eq!(costs(list, INTERACTION)[0], Some(-2e5));
        let sum: f64 = list.rows[..6]
            .iter()
            .filter_map(|row| Some(row.costs[0]?.value))
            .sum();
        assert_eq!(Some(sum), costs(list, WHOLE)[0]);
        let net = list.rows[2].costs[0].unwrap().interval.unwrap();
        assert_eq!((net.low, net.high), (8e5, 8e5));
    }

    #[test]
    fn a_part_that_was_never_measured_has_no_price_and_counts_as_nothing() {
        let mut run = exact();
        run.samples.retain(|sample| sample.part != "net");
        let lists = lists(&run, run.experiments.last().unwrap());
        assert_eq!(costs(&lists[0], "net"), [None, None]);
        assert_eq!(costs(&lists[0], INTERACTION)[0], Some(6e5));
    }

    #[test]
    fn without_a_whole_nothing_is_left_over() {
        let mut run = exact();
        run.samples
            .retain(|sample| sample.experiment != fixture::PRICES || sample.part != TOTAL);
        let lists = lists(&run, run.experiments.last().unwrap());
        assert_eq!(costs(&lists[0], INTERACTION), [None, None]);
        assert_eq!(costs(&lists[0], WHOLE), [None, None]);
        assert_eq!(costs(&lists[0], "net")[0], Some(8e5));
    }

    #[test]
    fn the_first_metric_s_parts_are_the_rows_of_all() {
        let mut run = exact();
        run.experiments.last_mut().unwrap().metrics[1]
            .parts
            .reverse();
        let lists = lists(&run, run.experiments.last().unwrap());
        assert_eq!(costs(&lists[0], "net"), [Some(8e5), Some(8e5)]);
    }

    #[test]
    fn a_list_without_end_is_none() {
        let mut run = exact();
        let parts = &mut run.experiments.last_mut().unwrap().metrics[0].parts;
        parts.resize(MOST_PARTS + 1, parts[1].clone());
        assert!(lists(&run, run.experiments.last().unwrap()).is_empty());
    }

    #[test]
    fn other_experiments_and_targets_have_no_list() {
        let run = fixture::with_prices();
        assert!(lists(&run, &run.experiments[0]).is_empty());
        let mut none = run.clone();
        none.samples.clear();
        assert!(lists(&none, none.experiments.last().unwrap()).is_empty());
    }
}
