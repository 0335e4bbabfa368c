//! Claims 10 and 11: which kernel a program in a container finds, and how far it is isolated from
//! the host's kernel.

use super::evidence::{Evidence, container_of, measured_of};
use super::quote::Quote;
use super::{Finding, Verdict};
use crate::figures::isolation::IsolationFigures;
use crate::figures::summary::Summary;
use crate::model::{Target, TargetFamily, TargetKind, Unit};
use crate::schema::isolation::{self, ANSWERED, HOST_CALLS, HOST_KERNEL};
use crate::words::units;

/// Claim 10: a program finds the same environment everywhere.
pub fn environment(evidence: &Evidence<'_, '_>) -> Finding {
    let Some(isolation_figures) = IsolationFigures::of(evidence.summary) else {
        return evidence.without_experiment(isolation::NAME);
    };
    let container = isolation_figures.column(ANSWERED).and_then(container_of);
    let Some(container) = container else {
        return evidence
            .without_targets(|family| family == TargetFamily::Container, "side.container");
    };
    let Some(shared) = isolation_figures.is_on_host_kernel(&container.target.name) else {
        return evidence.without_experiment(isolation::NAME);
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
        figures: answers(evidence, isolation_figures, container.target),
        nuance: runtimes(evidence, isolation_figures)
            .into_iter()
            .chain([words.text("nuance.carried").to_owned()])
            .collect(),
        wanted: None,
        experiment: Some(isolation::NAME),
    }
}

/// Whether a card quotes the target: the process, the container or a virtual machine.
fn is_quoted(evidence: &Evidence<'_, '_>, target: &Target, container: &Target) -> bool {
    let is_process = process(evidence.summary) == Some(target.name.as_str());
    is_process || target.name == container.name || target.family.is_machine()
}

/// For each quoted target, whose kernel answers how many system calls.
fn answers(
    evidence: &Evidence<'_, '_>,
    isolation_figures: IsolationFigures<'_, '_>,
    container: &Target,
) -> Vec<Quote> {
    let Some(column) = isolation_figures.column(ANSWERED) else {
        return Vec::new();
    };
    let mut told = Vec::new();
    for one in measured_of(column, |_| true) {
        let quoted = is_quoted(evidence, one.target, container);
        let Some(is_host_s) = isolation_figures
            .is_on_host_kernel(&one.target.name)
            .filter(|_| quoted)
        else {
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

/// How much the runtimes of one host differ in the calls that are answered.
fn runtimes(
    evidence: &Evidence<'_, '_>,
    isolation_figures: IsolationFigures<'_, '_>,
) -> Option<String> {
    let mut containers = measured_of(isolation_figures.column(ANSWERED)?, |family| {
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
    let Some(isolation_figures) = IsolationFigures::of(evidence.summary) else {
        return evidence.without_experiment(isolation::NAME);
    };
    let seen = |metric| isolation_figures.column(metric).and_then(container_of);
    let Some(container) = seen(ANSWERED).or_else(|| seen(HOST_CALLS)) else {
        return evidence
            .without_targets(|family| family == TargetFamily::Container, "side.container");
    };
    let process = process(evidence.summary);
    let reach = |target: &str| {
        isolation_figures
            .reach(target)
            .map(|reach| reach.calls.median)
    };
    let (Some(free), Some(held), Some(shared)) = (
        process.and_then(reach),
        reach(&container.target.name),
        isolation_figures.is_on_host_kernel(&container.target.name),
    ) else {
        return evidence.without_experiment(isolation::NAME);
    };
    let words = evidence.words;
    let (verdict, because) = match (shared, held < free) {
        // Fewer calls are within reach, and they still reach the host's own kernel.
        (true, true) => (Verdict::Depends, words.text("depends.kernel")),
        (true, false) => (Verdict::Refuted, ""),
        (false, _) => (Verdict::Supported, ""),
    };
    Finding {
        verdict,
        because: because.to_owned(),
        figures: figures(evidence, isolation_figures, container.target),
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

/// For each quoted target, how many system calls of the host's kernel are within reach.
fn figures(
    evidence: &Evidence<'_, '_>,
    isolation_figures: IsolationFigures<'_, '_>,
    container: &Target,
) -> Vec<Quote> {
    let Some(column) = isolation_figures.column(HOST_KERNEL) else {
        return Vec::new();
    };
    let mut told = Vec::new();
    for one in measured_of(column, |_| true) {
        let quoted = is_quoted(evidence, one.target, container);
        let Some(reach) = isolation_figures.reach(&one.target.name).filter(|_| quoted) else {
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
