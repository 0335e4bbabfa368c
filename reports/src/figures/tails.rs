//! How late the latest are: far quantiles of starts and of whole lives, and how many succeeded.
//!
//! A median says nothing of the start that takes ten times as long. So every metric of these
//! families has its 95th and its 99th percentile too, each with an interval, or with how many
//! samples that would take.

use std::collections::BTreeMap;

use crate::figures::summary::{Cell, Column, Section, Summary};
use crate::model::{Metric, MetricFamily, Run, Status, TOTAL, Target};
use crate::schema::{burst, parallel, startup, time};
use crate::statistics::{Proportion, Round, Tail};

/// The tail of one metric of one target.
#[derive(Debug, Clone, Copy)]
pub struct TargetTail<'a> {
    /// The target.
    pub target: &'a Target,
    /// The target's place in the run.
    pub index: usize,
    /// The 95th percentile; absent if no sample counts.
    pub p95: Option<Tail>,
    /// The 99th percentile; absent if no sample counts.
    pub p99: Option<Tail>,
    /// How many samples succeeded. Warm-ups are no trials, and what is unavailable isn't either.
    pub success: Proportion,
}

/// Whether the report has a table of the experiment's tails.
pub fn are_shown(experiment: &str) -> bool {
    [startup::NAME, parallel::NAME, burst::NAME].contains(&experiment) || time::is_time(experiment)
}

/// Whether a metric has tails: whether it is a start's time, or that of a whole life.
pub fn has_tails(metric: &Metric) -> bool {
    matches!(
        metric.family,
        MetricFamily::StartTime | MetricFamily::LifeTime
    )
}

/// The columns of a section whose tails the report shows.
pub fn shown<'s, 'a>(section: &'s Section<'a>) -> impl Iterator<Item = &'s Column<'a>> {
    let columns = section.columns.iter();
    columns.filter(|column| are_shown(&section.experiment.name) && has_tails(column.metric))
}

/// The tails of a column of `section`, in the order of the run's targets. A target that was not
/// tried has none; no target has one if the metric's family has no tails.
pub fn of_column<'a>(
    summary: &Summary<'a>,
    section: &Section<'a>,
    column: &Column<'a>,
) -> Vec<TargetTail<'a>> {
    if !has_tails(column.metric) {
        return Vec::new();
    }
    let trials = trials(summary.run, &section.experiment.name, &column.metric.name);
    let tail = |(index, cell): (usize, &Cell<'a>)| {
        let rounds = trials.get(cell.target.name.as_str())?;
        let rounds: Vec<Round> = rounds.values().copied().collect();
        let quantile = |permille| {
            let tail = Tail::of(&cell.figure()?.series, permille)?;
            Some(tail.late_by(column.metric.resolution.unwrap_or_default()))
        };
        Some(TargetTail {
            target: cell.target,
            index,
            p95: quantile(950),
            p99: quantile(990),
            success: Proportion::of(&rounds)?,
        })
    };
    column.cells.iter().enumerate().filter_map(tail).collect()
}

/// How many samples of a metric succeeded in each round, by target.
fn trials<'r>(
    run: &'r Run,
    experiment: &str,
    metric: &str,
) -> BTreeMap<&'r str, BTreeMap<u32, Round>> {
    let mut trials: BTreeMap<&str, BTreeMap<u32, Round>> = BTreeMap::new();
    // The parts of a sample are rows of their own, and share the outcome of the whole.
    let wholes = run.samples.iter().filter(|sample| {
        (sample.experiment.as_str(), sample.metric.as_str()) == (experiment, metric)
            && sample.part == TOTAL
    });
    for sample in wholes {
        let of_kind = match sample.status {
            Status::Ok => 1,
            Status::Failed => 0,
            Status::Warmup | Status::Unavailable => continue,
        };
        let rounds = trials.entry(&sample.target).or_default();
        let none = Round { of_kind: 0, all: 0 };
        let round = rounds.entry(sample.round).or_insert(none);
        round.of_kind += of_kind;
        round.all += 1;
    }
    trials
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::statistics::Bounds;

    #[test]
    fn failures_are_counted_once_and_warm_ups_never() {
        let run = fixture::run();
        let summary = Summary::of(&run);
        let section = &summary.sections[0];
        let tails = of_column(&summary, section, &section.columns[0]);
        let of = |name: &str| tails.iter().find(|tail| tail.target.name == name);
        let container = of("container").unwrap();
        let success = container.success;
        assert_eq!((success.successes, success.trials), (18, 19));
        assert!(success.interval.unwrap().holds(18.0 / 19.0));
        assert_eq!(container.p95.unwrap().bounds, Bounds::Needs(59 - 18));
        assert!(of("microvm-linux").is_none());
        // The end of an instance is no start and no life.
        assert!(of_column(&summary, section, &section.columns[1]).is_empty());
    }

    #[test]
    fn a_target_that_always_fails_has_a_rate_and_no_quantile() {
        let mut run = fixture::run();
        for sample in run.samples.iter_mut().filter(|one| one.target == "bwrap") {
            sample.value = None;
            sample.reason = Some("bwrap: no permission".to_owned());
            if sample.status == Status::Ok {
                sample.status = Status::Failed;
            }
        }
        let summary = Summary::of(&run);
        let section = &summary.sections[0];
        let tails = of_column(&summary, section, &section.columns[0]);
        let bwrap = tails
            .iter()
            .find(|tail| tail.target.name == "bwrap")
            .unwrap();
        assert_eq!((bwrap.p95, bwrap.success.successes), (None, 0));
        assert_eq!(bwrap.success.trials, fixture::GOOD);
    }
}
