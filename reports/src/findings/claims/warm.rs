//! Claim 12: a virtual machine starts from a snapshot in less than a millisecond.

use super::evidence::{Evidence, Limit, TargetFigure, machines_of};
use super::{Finding, Verdict};
use crate::model::{TargetFamily, Unit};
use crate::schema::start_warm::{COLD, FORK, NAME, RESTORE};
use crate::words::unbroken;

/// The limit in nanoseconds.
const MILLISECOND: f64 = 1e6;

/// The finding, if the run measured starts of this kind.
pub fn snapshot(evidence: &Evidence<'_, '_>) -> Option<Finding> {
    let column = evidence.column(NAME, RESTORE.first)?;
    let machines = machines_of(column);
    let Some(fastest) = machines
        .iter()
        .min_by(|one, other| one.figure.median.total_cmp(&other.figure.median))
    else {
        return Some(evidence.without_targets(TargetFamily::is_machine, "side.machine"));
    };
    let (verdict, because) = match Limit::of(MILLISECOND, fastest.figure) {
        Limit::NotReached => (Verdict::Supported, String::new()),
        Limit::Reached => (Verdict::Refuted, String::new()),
        Limit::Unclear => {
            let wide = evidence.words.text("undecided.wide");
            (Verdict::Undecided, wide.to_owned())
        }
    };
    let beside = |metric| {
        let column = evidence.column(NAME, metric)?;
        machines_of(column)
            .into_iter()
            .find(|one| one.target.name == fastest.target.name)
    };
    let nuance = [
        ("nuance.warm-before", COLD.first),
        ("nuance.warm-later", RESTORE.tail),
        ("nuance.warm-clone", FORK.first),
    ]
    .map(|(name, metric)| beside(metric).map(|one| sentence(evidence, name, &one)));
    Some(Finding {
        verdict,
        because,
        figures: machines
            .iter()
            .map(|one| evidence.quote(Unit::Nanoseconds, one))
            .collect(),
        nuance: nuance.into_iter().flatten().collect(),
        wanted: None,
        experiment: Some(NAME),
    })
}

/// A sentence about one figure.
fn sentence(evidence: &Evidence<'_, '_>, name: &str, one: &TargetFigure<'_, '_>) -> String {
    let time = unbroken(Unit::Nanoseconds, one.figure.median);
    let values: [(&str, &dyn std::fmt::Display); 2] =
        [("target", &one.target.name), ("time", &time)];
    evidence.words.say(name, &values)
}
