//! Claims 10 and 11: what a program in a container finds of a kernel, and how far it is isolated from the host's.

use super::evidence::{Evidence, container_of, measured_of};
use super::quote::Quote;
use super::{Finding, Verdict};
use crate::figures::isolation::Looks;
use crate::figures::summary::Summary;
use crate::model::{Target, TargetFamily, TargetKind, Unit};
use crate::schema::isolation::{self, ANSWERED, HOST_CALLS, HOST_KERNEL};
use crate::words::units;

/// Claim 10: a program finds the same environment everywhere.
pub fn environment(evidence: &Evidence<'_, '_>) -> Finding {
    let Some(looks) = Looks::of(evidence.summary) else {
        return evidence.without(isolation::NAME);
    };
    let container = looks.column(ANSWERED).and_then(container_of);
    let Some(container) = container else {
        return evidence
            .without_targets(|family| family == TargetFamily::Container, "side.container");
    };
    let Some(shared) = looks.is_on_host_kernel(&container.target.name) else {
        return evidence.without(isolation::NAME);
    };
    let words = evidence.words;
    let (verdict, because) = if shared {
        (Verdict::Depends, words.text("depends.carried").to_owned())
    } else {
        (Verdict::Supported, String::new())
    };
    Finding {
        verdict,
        because,
        figures: answers(evidence, looks, container.target),
        nuance: runtimes(evidence, looks)
            .into_iter()
            .chain([words.text("nuance.carried").to_owned()])
            .collect(),
        wanted: None,
        experiment: Some(isolation::NAME),
    }
}

/// Whether a target is quoted: the process, the container and the machines.
fn is_quoted(evidence: &Evidence<'_, '_>, target: &Target, container: &Target) -> bool {
    let is_process = process(evidence.summary) == Some(target.name.as_str());
    is_process || target.name == container.name || target.family.is_machine()
}

/// Who answers how many system calls.
fn answers(evidence: &Evidence<'_, '_>, looks: Looks<'_, '_>, container: &Target) -> Vec<Quote> {
    let Some(column) = looks.column(ANSWERED) else {
        return Vec::new();
    };
    let mut told = Vec::new();
    for one in measured_of(column, |_| true) {
        let quoted = is_quoted(evidence, one.target, container);
        let Some(is_host_s) = looks.is_on_host_kernel(&one.target.name).filter(|_| quoted) else {
            continue;
        };
        let name = if is_host_s {
            "quote.answers-host"
        } else {
            "quote.answers-other"
        };
        told.push(evidence.quote_calls(name, &one.target.name, one.figure));
    }
    told
}

/// How far the runtimes of one host are apart.
fn runtimes(evidence: &Evidence<'_, '_>, looks: Looks<'_, '_>) -> Option<String> {
    let mut containers = measured_of(looks.column(ANSWERED)?, |family| {
        family == TargetFamily::Container
    });
    containers.sort_by(|one, other| one.figure.median.total_cmp(&other.figure.median));
    let (least, most) = (containers.first()?, containers.last()?);
    let count = |value| units::value(Unit::Count, value);
    (least.figure.median < most.figure.median).then(|| {
        let (low, high) = (count(least.figure.median), count(most.figure.median));
        evidence.words.say(
            "nuance.answers",
            &[
                ("most", &most.target.name),
                ("high", &high),
                ("least", &least.target.name),
                ("low", &low),
            ],
        )
    })
}

/// Claim 11: processes in a container are isolated.
pub fn isolation(evidence: &Evidence<'_, '_>) -> Finding {
    let Some(looks) = Looks::of(evidence.summary) else {
        return evidence.without(isolation::NAME);
    };
    let seen = |metric| looks.column(metric).and_then(container_of);
    let Some(container) = seen(ANSWERED).or_else(|| seen(HOST_CALLS)) else {
        return evidence
            .without_targets(|family| family == TargetFamily::Container, "side.container");
    };
    let process = process(evidence.summary);
    let reach = |target: &str| looks.reach(target).map(|reach| reach.calls.median);
    let (Some(free), Some(held), Some(shared)) = (
        process.and_then(reach),
        reach(&container.target.name),
        looks.is_on_host_kernel(&container.target.name),
    ) else {
        return evidence.without(isolation::NAME);
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
                    ("target", &container.target.name),
                    ("held", &units::value(Unit::Count, held)),
                    ("free", &units::value(Unit::Count, free)),
                ],
            ),
            words.text("nuance.namespaces").to_owned(),
        ],
        wanted: None,
        experiment: Some(isolation::NAME),
    }
}

fn process<'a>(summary: &Summary<'a>) -> Option<&'a str> {
    let mut targets = summary.run.targets.iter();
    let process = targets.find(|target| target.kind == TargetKind::Rung(0))?;
    Some(process.name.as_str())
}

/// What of the host's kernel is within reach: of the process, of `container`, and of the machines.
fn figures(evidence: &Evidence<'_, '_>, looks: Looks<'_, '_>, container: &Target) -> Vec<Quote> {
    let Some(column) = looks.column(HOST_KERNEL) else {
        return Vec::new();
    };
    let mut told = Vec::new();
    for one in measured_of(column, |_| true) {
        let quoted = is_quoted(evidence, one.target, container);
        let Some(reach) = looks.reach(&one.target.name).filter(|_| quoted) else {
            continue;
        };
        let name = if one.figure.median > 0.5 {
            "quote.reach-host"
        } else {
            "quote.reach-other"
        };
        told.push(evidence.quote_calls(name, &one.target.name, reach.calls));
    }
    told
}
