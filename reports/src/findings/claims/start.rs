//! Claims 1 and 2: how long a virtual machine and a container take to start.

use super::evidence::{Evidence, Measured, container_of, machines_of, measured_of, reaches};
use super::{Finding, Verdict};
use crate::model::{TargetFamily, Unit};
use crate::schema::startup::{self, READY, VIRTUALIZATION};
use crate::words::units;

/// From so many nanoseconds on, a start takes minutes.
const MINUTES: f64 = 60e9;
/// Below so many, it takes milliseconds.
const SECOND: f64 = 1e9;

/// Claim 1: a traditional virtual machine takes minutes.
pub fn machine(evidence: &Evidence<'_, '_>) -> Finding {
    let Some(column) = evidence.column(startup::NAME, READY) else {
        return evidence.without(startup::NAME);
    };
    let machines = machines_of(column);
    if machines.is_empty() {
        return evidence.without_targets(TargetFamily::is_machine, "side.machine");
    }
    let traditional = machines
        .iter()
        .find(|one| one.target.family == TargetFamily::TraditionalVm);
    let words = evidence.words;
    let (verdict, because) = match traditional.map(|one| reaches(MINUTES, one.figure)) {
        Some(Some(true)) => (Verdict::Supported, String::new()),
        Some(Some(false)) => (Verdict::Refuted, String::new()),
        Some(None) => (Verdict::Undecided, words.text("undecided.wide").to_owned()),
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

/// How much of a start is virtualization itself.
fn virtualization(evidence: &Evidence<'_, '_>, one: &Measured<'_, '_>) -> Option<String> {
    let parts = one.figure.parts.iter();
    let own = parts.filter(|part| VIRTUALIZATION.contains(&part.name));
    let sum: f64 = own.map(|part| part.typical).sum();
    let (time, share) = (
        crate::words::together(Unit::Nanoseconds, sum),
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
        return evidence.without(startup::NAME);
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
        reaches(SECOND, fastest.figure),
        reaches(MINUTES, slowest.figure),
    ) {
        (Some(false), Some(false)) => (Verdict::Supported, String::new()),
        (Some(false), Some(true)) => (Verdict::Depends, words.text("depends.runtime").to_owned()),
        (Some(true), _) => (Verdict::Refuted, String::new()),
        (None, _) | (_, None) => (Verdict::Undecided, words.text("undecided.wide").to_owned()),
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

/// How much of the slowest container's start is its runtime's, not the kernel's.
fn runtimes(
    evidence: &Evidence<'_, '_>,
    fastest: &Measured<'_, '_>,
    slowest: &Measured<'_, '_>,
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
