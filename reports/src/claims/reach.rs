//! Claim 11: how far a program in a container is isolated, by what of the host's kernel is within its reach.

use super::evidence::{Evidence, container_of, measured_of};
use super::family::Family;
use super::{Finding, Verdict};
use crate::isolation::{ANSWERED, HOST_CALLS, HOST_KERNEL, ISOLATION, Looks};
use crate::model::{TargetKind, Unit};
use crate::summary::Summary;
use crate::units;

/// Claim 11: processes in a container are isolated.
pub fn isolation(evidence: &Evidence<'_, '_>) -> Finding {
    let Some(looks) = Looks::of(evidence.summary) else {
        return evidence.without(ISOLATION);
    };
    let seen = |metric| looks.column(metric).and_then(container_of);
    let Some(container) = seen(ANSWERED).or_else(|| seen(HOST_CALLS)) else {
        return evidence.without_targets(|family| family == Family::Container, "side.container");
    };
    let process = process(evidence.summary);
    let reach = |target| looks.reach(target).map(|reach| reach.calls);
    let (Some(free), Some(held), Some(shared)) = (
        process.and_then(reach),
        reach(container.target),
        looks.is_on_host_kernel(container.target),
    ) else {
        return evidence.without(ISOLATION);
    };
    let words = evidence.words;
    let (verdict, because) = match (shared, held < free) {
        // Less is within reach, and what is left is the host's own kernel.
        (true, true) => (Verdict::Depends, words.text("depends.kernel")),
        (true, false) => (Verdict::Refuted, ""),
        (false, _) => (Verdict::Supported, ""),
    };
    Finding {
        verdict,
        because: because.to_owned(),
        figures: figures(evidence, looks, container.target),
        nuance: vec![
            words.say(
                "nuance.reach",
                &[
                    ("target", &container.target),
                    ("held", &units::value(Unit::Count, held)),
                    ("free", &units::value(Unit::Count, free)),
                ],
            ),
            words.text("nuance.namespaces").to_owned(),
        ],
        wanted: None,
        experiment: Some(ISOLATION),
    }
}

fn process<'a>(summary: &Summary<'a>) -> Option<&'a str> {
    let mut targets = summary.run.targets.iter();
    let process = targets.find(|target| target.kind == TargetKind::Rung(0))?;
    Some(process.name.as_str())
}

/// What of the host's kernel is within reach: of the process, of `container`, and of the machines.
fn figures(evidence: &Evidence<'_, '_>, looks: Looks<'_, '_>, container: &str) -> Vec<String> {
    let Some(column) = looks.column(HOST_KERNEL) else {
        return Vec::new();
    };
    let process = process(evidence.summary);
    let mut told = Vec::new();
    for one in measured_of(column, |_| true) {
        let counts = Some(one.target) == process
            || one.target == container
            || Family::of(one.target).is_machine();
        let Some(reach) = looks.reach(one.target).filter(|_| counts) else {
            continue;
        };
        let name = if one.figure.median > 0.5 {
            "quote.reach-host"
        } else {
            "quote.reach-other"
        };
        let calls = units::value(Unit::Count, reach.calls);
        told.push(
            evidence
                .words
                .say(name, &[("target", &one.target), ("calls", &calls)]),
        );
    }
    told
}
