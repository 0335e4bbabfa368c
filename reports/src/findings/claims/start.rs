//! Claims 1 and 2: how long a virtual machine and a container take to start.

use super::evidence::{Evidence, Limit, TargetFigure, container_of, machines_of, measured_of};
use super::{Finding, Verdict};
use crate::figures::summary::Column;
use crate::model::{TargetFamily, Unit};
use crate::schema::startup::{self, READY, VIRTUALIZATION};
use crate::words::units;

/// From this number of nanoseconds on, a start takes minutes.
const MINUTES: f64 = 60e9;
/// Below this number of nanoseconds, a start takes milliseconds.
const SECOND: f64 = 1e9;

/// Claim 1: a traditional virtual machine takes minutes.
pub fn machine(evidence: &Evidence<'_, '_>) -> Finding {
    let Some(column) = evidence.column(startup::NAME, READY) else {
        return evidence.without_experiment(startup::NAME);
    };
    let machines = machines_or_emulated_of(column);
    if machines.is_empty() {
        return evidence.without_targets(TargetFamily::is_machine, "side.machine");
    }
    let traditional = machines
        .iter()
        .find(|one| one.target.family == TargetFamily::TraditionalVm);
    let emulated = machines.iter().find(|one| one.target.emulated);
    let words = evidence.words;
    let limit = traditional.map(|one| Limit::of(MINUTES, one.figure));
    // Minutes on an emulated processor say nothing of a real one.
    let limit = limit.filter(|limit| emulated.is_none() || *limit == Limit::NotReached);
    let (verdict, because) = match limit {
        Some(Limit::Reached) => (Verdict::Supported, String::new()),
        Some(Limit::NotReached) => (Verdict::Refuted, String::new()),
        Some(Limit::Unclear) => (Verdict::Undecided, words.text("undecided.wide").to_owned()),
        None => (Verdict::Depends, words.text("depends.boots").to_owned()),
    };
    Finding {
        verdict,
        because,
        figures: machines
            .iter()
            .map(|one| evidence.quote(Unit::Nanoseconds, one))
            .collect(),
        nuance: [
            machines
                .last()
                .and_then(|one| evidence.dominant(Unit::Nanoseconds, one)),
            machines
                .first()
                .and_then(|one| virtualization(evidence, one)),
            traditional.map(|one| words.say_one("nuance.traditional", "target", &one.target.name)),
            emulated.map(|one| words.say_one("nuance.emulated", "target", &one.target.name)),
        ]
        .into_iter()
        .flatten()
        .collect(),
        wanted: traditional
            .is_none()
            .then(|| words.text("wanted.traditional").to_owned()),
        experiment: Some(startup::NAME),
    }
}

/// The figures of the virtual machines. If no traditional machine ran on a real processor, one on an
/// emulated processor stands in: it starts later than on a real one.
fn machines_or_emulated_of<'s, 'a>(column: &'s Column<'a>) -> Vec<TargetFigure<'s, 'a>> {
    let is_traditional = |family| family == TargetFamily::TraditionalVm;
    let mut machines = machines_of(column);
    if !machines.iter().any(|one| is_traditional(one.target.family)) {
        machines.extend(measured_of(column, is_traditional));
    }
    machines
}

/// How much of a machine's start is taken by the making of the virtual machine.
fn virtualization(evidence: &Evidence<'_, '_>, one: &TargetFigure<'_, '_>) -> Option<String> {
    let parts = one.figure.parts.iter();
    let own = parts.filter(|part| VIRTUALIZATION.contains(&part.name));
    let sum: f64 = own.map(|part| part.typical).sum();
    let (time, share) = (
        crate::words::unbroken(Unit::Nanoseconds, sum),
        units::part(sum / one.figure.median),
    );
    (sum > 0.0).then(|| {
        evidence.words.say(
            "nuance.virtualization",
            &[
                ("target", &one.target.name),
                ("time", &time),
                ("share", &share),
            ],
        )
    })
}

/// Claim 2: a container starts in seconds, even milliseconds.
pub fn container(evidence: &Evidence<'_, '_>) -> Finding {
    let Some(column) = evidence.column(startup::NAME, READY) else {
        return evidence.without_experiment(startup::NAME);
    };
    let is_container = |family| family == TargetFamily::Container;
    let mut containers = measured_of(column, is_container);
    containers.sort_by(|left, right| left.figure.median.total_cmp(&right.figure.median));
    let [fastest, ..] = containers.as_slice() else {
        return evidence.without_targets(is_container, "side.container");
    };
    let words = evidence.words;
    let slowest = &containers[containers.len() - 1];
    let (verdict, because) = match (
        Limit::of(SECOND, fastest.figure),
        Limit::of(MINUTES, slowest.figure),
    ) {
        (Limit::NotReached, Limit::NotReached) => (Verdict::Supported, String::new()),
        (Limit::NotReached, Limit::Reached) => {
            (Verdict::Depends, words.text("depends.runtime").to_owned())
        }
        (Limit::Reached, _) => (Verdict::Refuted, String::new()),
        (Limit::Unclear, _) | (_, Limit::Unclear) => {
            (Verdict::Undecided, words.text("undecided.wide").to_owned())
        }
    };
    let nuance = [
        container_of(column).and_then(|one| evidence.dominant(Unit::Nanoseconds, &one)),
        runtimes(evidence, fastest, slowest),
    ];
    Finding {
        verdict,
        because,
        figures: containers
            .iter()
            .map(|one| evidence.quote(Unit::Nanoseconds, one))
            .collect(),
        nuance: nuance.into_iter().flatten().collect(),
        wanted: None,
        experiment: Some(startup::NAME),
    }
}

/// How much longer the slowest container's start takes than the fastest's, on the same kernel.
fn runtimes(
    evidence: &Evidence<'_, '_>,
    fastest: &TargetFigure<'_, '_>,
    slowest: &TargetFigure<'_, '_>,
) -> Option<String> {
    let ratio = units::ratio(slowest.figure.series.ratio(&fastest.figure.series)?);
    (slowest.target.name != fastest.target.name).then(|| {
        evidence.words.say(
            "nuance.runtimes",
            &[
                ("slowest", &slowest.target.name),
                ("ratio", &ratio),
                ("fastest", &fastest.target.name),
            ],
        )
    })
}
